"""Pure decisions about trust. Nothing here does I/O: values in, values out."""
