-- Users and what they log in with. Secrets are kept as digests (log-ins, tokens, recovery codes), as argon2id hashes
-- (passwords) or sealed under a key that is not in the database (the shared secret of TOTP).

CREATE TABLE account (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name = lower(name) AND length(name) BETWEEN 1 AND 64),
    role            text NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    enabled         boolean NOT NULL DEFAULT true,
    password        text NOT NULL CHECK (password LIKE '$argon2id$%'),
    password_set_at timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    totp            bytea,                      -- sealed; null: no second factor
    totp_next       bytea,                      -- sealed; waits to be confirmed by a code
    totp_step       bigint NOT NULL DEFAULT 0   -- the last time step whose code was used: none up to it counts again
);

CREATE TABLE recovery_code (
    account bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    digest  bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (account, digest)
);

CREATE TABLE login (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account  bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    digest   bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    begun_at timestamptz NOT NULL,
    seen_at  timestamptz NOT NULL,
    source   text NOT NULL,
    agent    text NOT NULL
);
CREATE INDEX login_account ON login (account);
CREATE INDEX login_begun_at ON login (begun_at);

CREATE TABLE api_token (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account    bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    label      text NOT NULL,
    role       text NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_token_account ON api_token (account);

-- Failures to log in. The key is a digest: what was typed as a name may have been a password.
CREATE TABLE login_attempt (
    scope    text NOT NULL CHECK (scope IN ('source', 'pair', 'account')),
    key      bytea NOT NULL CHECK (length(key) = 32),
    failures integer NOT NULL CHECK (failures >= 0),
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX login_attempt_last_at ON login_attempt (last_at);

-- From where an account was entered before.
CREATE TABLE familiar_source (
    account bigint NOT NULL REFERENCES account ON DELETE CASCADE,
    source  text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (account, source)
);
