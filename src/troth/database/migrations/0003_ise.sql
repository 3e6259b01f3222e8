-- The ISE servers that are asked: at most two, and exactly one primary while there are any.

CREATE TABLE ise_server (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Unique among two words: at most two servers, of which at most one is the primary.
    role       text NOT NULL UNIQUE CHECK (role IN ('primary', 'standby')),
    -- A standby refers to the primary, so there is none without one. Looked at when the transaction ends: a standby
    -- becomes the primary in the transaction that removes the old one.
    behind     text GENERATED ALWAYS AS (CASE role WHEN 'standby' THEN 'primary' END) STORED
               REFERENCES ise_server (role) DEFERRABLE INITIALLY DEFERRED,
    host       text NOT NULL CHECK (length(host) BETWEEN 1 AND 253),
    port       integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    username   text NOT NULL CHECK (length(username) BETWEEN 1 AND 128),
    password   bytea NOT NULL,              -- sealed, for exactly this host, port and user
    timeout_s  double precision NOT NULL CHECK (timeout_s > 0),
    added_at   timestamptz NOT NULL,
    added_by   text NOT NULL,
    changed_at timestamptz NOT NULL,        -- what was learned with other credentials is not written here
    -- How it stands.
    condition  text NOT NULL DEFAULT 'unknown',
    since      timestamptz,
    polled_at  timestamptz,
    due_at     timestamptz,
    failures   integer NOT NULL DEFAULT 0,
    announced  text,
    why        text NOT NULL DEFAULT '',
    next_step  text NOT NULL DEFAULT '',
    -- What it said last.
    product    text NOT NULL DEFAULT '',
    version    text NOT NULL DEFAULT '',
    node_type  text NOT NULL DEFAULT 'unknown',
    active     bigint,
    posture    bigint,
    profiler   bigint,
    found_at   timestamptz,
    UNIQUE (host, port)
);
