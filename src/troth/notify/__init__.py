"""Events become messages, and messages reach people: by mail, webhook and syslog, grouped, and silenced where asked."""
