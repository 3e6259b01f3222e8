-- What is watched, what happened, and what people are told of it.

CREATE TABLE watch (
    host text NOT NULL,
    port integer NOT NULL,
    protocol text NOT NULL,
    domain text NOT NULL,
    state jsonb NOT NULL DEFAULT '{}',      -- what was told, see troth.watch.table
    outcome text,                           -- of the last look; null before the first
    address text NOT NULL DEFAULT '',       -- that was connected to
    network text NOT NULL DEFAULT '',       -- that limits count it by; empty before its address is known
    looked_at timestamptz,
    next_at timestamptz NOT NULL,
    claimed_until timestamptz,              -- a server looks at it; when that is over, it failed, and another may
    claim uuid,                             -- whose claim that is: what another took over is not written twice
    PRIMARY KEY (host, port, protocol)
);
CREATE INDEX watch_due ON watch (next_at);

CREATE TABLE silence (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pattern text NOT NULL,
    domain text NOT NULL,
    kind text,
    why text NOT NULL,
    who text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    removed_at timestamptz,
    removed_by text
);

CREATE TABLE message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL UNIQUE,
    kind text NOT NULL,
    severity text NOT NULL,
    cause_key text NOT NULL,
    cause_text text NOT NULL,
    count integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    not_through text NOT NULL,
    made_at timestamptz NOT NULL
);

CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL,
    host text,                              -- null: about no endpoint
    port integer,
    protocol text,
    domain text NOT NULL,
    what text NOT NULL,
    why text NOT NULL,
    next_command text NOT NULL,
    advice text NOT NULL,
    presented bytea,
    pinned text[] NOT NULL,
    cause_key text NOT NULL,
    cause_text text NOT NULL,
    not_through text NOT NULL,
    message bigint REFERENCES message,
    silence bigint REFERENCES silence,
    CHECK (message IS NULL OR silence IS NULL)
);
CREATE INDEX event_waiting ON event (id) WHERE message IS NULL AND silence IS NULL;
CREATE INDEX event_message ON event (message);
CREATE INDEX event_at ON event (at DESC);
CREATE INDEX event_host ON event (host, port);

CREATE TABLE channel (
    name text PRIMARY KEY,
    kind text NOT NULL,
    settings jsonb NOT NULL,
    secret bytea,                           -- sealed; bound to the channel's name and destination
    least text NOT NULL,                    -- the least severity that goes through it
    enabled boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    trouble text NOT NULL DEFAULT '',       -- the rejection of its certificate that was told; empty if there is none
    trouble_since timestamptz
);

CREATE TABLE delivery (
    message bigint NOT NULL REFERENCES message,
    channel text NOT NULL REFERENCES channel ON DELETE CASCADE,
    state text NOT NULL,                    -- waiting, delivered, dead
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    claim uuid,
    claimed_until timestamptz,
    note text NOT NULL DEFAULT '',          -- the last failure, or what the receiver said
    done_at timestamptz,
    PRIMARY KEY (message, channel)
);
CREATE INDEX delivery_due ON delivery (next_at) WHERE state = 'waiting';
