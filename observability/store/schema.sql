-- The tables of a fleet, DuckLake. Append-only: a correction or a label is a new row.
-- Every row carries received_at (UTC), so that "as known then" is a filter on it.
-- A statement ends with a line that ends in a semicolon; migrations are in schema.py.

CREATE TABLE meta (
    key VARCHAR,                      -- schema_version, clock
    value VARCHAR
);

CREATE TABLE decisions (
    device_id VARCHAR,                -- the server's view of who decided
    decision_id VARCHAR,              -- <32 hex trace id>-<16 hex span id>
    decision_type VARCHAR,            -- such as pump.stop
    model_name VARCHAR,
    model_version VARCHAR,
    model_digest VARCHAR,             -- sha256:<64 hex> of the artifact, as the device claims
    decided_at TIMESTAMPTZ,           -- corrected end of the span, UTC
    received_at TIMESTAMPTZ,          -- when the receiver took it, UTC
    start_unix_nano BIGINT,           -- as sent, ns since 1970 UTC
    end_unix_nano BIGINT,             -- as sent, ns since 1970 UTC
    clock_uncertainty_us BIGINT,      -- half width of decided_at's uncertainty; NULL = unknown
    recommendation VARCHAR,           -- the action that the model proposed; NULL = none
    score DOUBLE,                     -- the model's output, its own unit
    threshold DOUBLE,                 -- in the unit of score
    action VARCHAR,                   -- what the device did
    disposition VARCHAR,              -- executed, blocked, modified, deferred
    layout_id VARCHAR,                -- names of inputs and categoricals: layouts
    inputs DOUBLE[],                  -- in the order of the layout; missing = NaN
    categoricals VARCHAR[],           -- in the order of the layout
    gates STRUCT(name VARCHAR, kind VARCHAR, verdict VARCHAR, reason VARCHAR, "input" VARCHAR, operator VARCHAR, "limit" DOUBLE, observed DOUBLE)[],
    context MAP(VARCHAR, VARCHAR),    -- place, state, people, as text; typed in rest where not text
    chain_id VARCHAR,                 -- the device's hash chain; NULL = not chained
    seq BIGINT,                       -- place in the chain, from 0 without gaps
    prev BLOB,                        -- 32 bytes: the chain's head before this span
    digest BLOB,                      -- 32 bytes, of the content as sent: tells a repeat from a conflict
    origin VARCHAR,                   -- otlp or import
    identity VARCHAR,                 -- how the writer was identified; unverified on loopback
    resource_id VARCHAR,              -- resources
    rest BLOB,                        -- the OTLP Span less what the columns hold
    arrival BIGINT                    -- number of the newest commit before the one that stored it; 0: an earlier version did
);

CREATE TABLE layouts (
    layout_id VARCHAR,                -- sha256:<64 hex> of type and names
    decision_type VARCHAR,
    names VARCHAR[],
    categorical_names VARCHAR[],
    received_at TIMESTAMPTZ
);

CREATE TABLE resources (
    resource_id VARCHAR,              -- sha256:<64 hex> of the envelope
    device_id VARCHAR,
    attributes MAP(VARCHAR, VARCHAR), -- of the resource, as text
    scope_name VARCHAR,
    scope_version VARCHAR,
    envelope BLOB,                    -- the OTLP ResourceSpans without spans: resource, scope, schema URLs
    received_at TIMESTAMPTZ
);

CREATE TABLE outcomes (
    device_id VARCHAR,
    trace_id VARCHAR,                 -- of the outcome's own span
    span_id VARCHAR,
    decision_id VARCHAR,              -- the decision that it is about
    label VARCHAR,
    value DOUBLE,                     -- NULL = none
    source VARCHAR,                   -- sensor, system or person
    observed_at TIMESTAMPTZ,          -- when the truth was seen, UTC
    received_at TIMESTAMPTZ,
    start_unix_nano BIGINT,
    end_unix_nano BIGINT,
    validated_by VARCHAR,             -- NULL = not validated
    chain_id VARCHAR,                 -- the device's hash chain; NULL = not chained
    seq BIGINT,                       -- place in the chain, from 0 without gaps
    prev BLOB,                        -- 32 bytes: the chain's head before this span
    digest BLOB,
    origin VARCHAR,
    identity VARCHAR,
    resource_id VARCHAR,
    rest BLOB                         -- the OTLP Span less ids and times
);

CREATE TABLE reviews (
    device_id VARCHAR,
    trace_id VARCHAR,                 -- of the review's own span
    span_id VARCHAR,
    decision_id VARCHAR,              -- the decision that it is about
    gate VARCHAR,                     -- the gate that asked a person
    verdict VARCHAR,                  -- pass, block, modify; defer = passed on
    reviewer VARCHAR,                 -- who said so
    reason VARCHAR,                   -- empty: none given
    action VARCHAR,                   -- what the device then did; NULL = not known
    reviewed_at TIMESTAMPTZ,          -- end of the span, UTC
    received_at TIMESTAMPTZ,
    start_unix_nano BIGINT,
    end_unix_nano BIGINT,
    chain_id VARCHAR,                 -- the device's hash chain; NULL = not chained
    seq BIGINT,                       -- place in the chain, from 0 without gaps
    prev BLOB,                        -- 32 bytes: the chain's head before this span
    digest BLOB,
    origin VARCHAR,
    identity VARCHAR,
    resource_id VARCHAR,
    rest BLOB                         -- the OTLP Span less ids and times
);

CREATE TABLE spans (
    device_id VARCHAR,                -- empty: the resource names no device
    trace_id VARCHAR,
    span_id VARCHAR,
    parent_span_id VARCHAR,           -- empty: a root
    name VARCHAR,
    start_unix_nano BIGINT,
    end_unix_nano BIGINT,
    received_at TIMESTAMPTZ,
    attributes MAP(VARCHAR, VARCHAR), -- as text
    chain_id VARCHAR,                 -- the device's hash chain; NULL = not chained
    seq BIGINT,                       -- place in the chain, from 0 without gaps
    prev BLOB,                        -- 32 bytes: the chain's head before this span
    digest BLOB,
    origin VARCHAR,
    identity VARCHAR,
    resource_id VARCHAR,
    rest BLOB                         -- the OTLP Span less ids and times
);

CREATE TABLE rejects (
    reject_id VARCHAR,                -- sha256:<64 hex> of reason and content
    device_id VARCHAR,                -- empty: unknown
    reason VARCHAR,                   -- one line: found, expected, hint
    raw BLOB,                         -- the OTLP Span, at most 64 KiB
    received_at TIMESTAMPTZ
);

CREATE TABLE conflicts (
    device_id VARCHAR,
    span_key VARCHAR,                 -- <trace id>-<span id> that is stored already
    kind VARCHAR,                     -- decisions, outcomes, reviews, spans: where it is stored
    digest BLOB,                      -- of the other content
    raw BLOB,                         -- the other content as OTLP Span, at most 64 KiB
    received_at TIMESTAMPTZ
);

CREATE TABLE chain_events (
    device_id VARCHAR,
    chain_id VARCHAR,
    kind VARCHAR,                     -- arrived, lost, signed, verified, fork, broken, bad signature, stranger, key, successor, claimed
    seq_from BIGINT,                  -- the numbers that it is about, both included
    seq_to BIGINT,
    prev BLOB,                        -- 32 bytes, of arrived and lost: the chain's head before seq_from; NULL = not known
    head BLOB,                        -- 32 bytes: the chain's head after seq_to
    digest BLOB,                      -- of a fork: that of the content that came later
    key_id VARCHAR,                   -- sha256 in hex of the public key
    detail VARCHAR,                   -- reason of a loss, fault of a signature, first use or handed on, the other chain or device
    decided_at TIMESTAMPTZ,           -- of arrived: when the last decision among them was made; NULL = none or not the newest
    first_received_at TIMESTAMPTZ,    -- of a folded row: when the first that it tells of came; NULL = received_at
    received_at TIMESTAMPTZ           -- of a folded row: when the last came
);

CREATE TABLE models (
    name VARCHAR,
    version VARCHAR,
    digest VARCHAR,                   -- sha256:<64 hex> of the artifact
    artifact VARCHAR,                 -- lightgbm-text, xgboost or onnx
    -- In the model's order. levels: of a categorical, else empty. low, high: what it can be, NULL = open. actionable:
    -- whether people can change it, NULL = yes. player: features of one player share a part, NULL = its own.
    features STRUCT(name VARCHAR, unit VARCHAR, levels VARCHAR[], low DOUBLE, high DOUBLE, actionable BOOLEAN, player VARCHAR)[],
    link VARCHAR,                     -- identity or logit: the unit of attributions
    threshold DOUBLE,                 -- in the unit of the score; NULL = none
    received_at TIMESTAMPTZ
);

CREATE TABLE model_references (
    name VARCHAR,
    version VARCHAR,
    digest VARCHAR,
    reference_id VARCHAR,             -- sha256:<64 hex> of the Parquet file
    row_count BIGINT,                 -- rows of the reference
    device_count BIGINT,              -- 0: the reference names no device
    first_at TIMESTAMPTZ,             -- NULL: the reference has no time
    last_at TIMESTAMPTZ,
    received_at TIMESTAMPTZ
);

CREATE TABLE specs (
    spec_id VARCHAR,                  -- sha256:<64 hex> of the other fields
    model_digest VARCHAR,
    artifact VARCHAR,
    output VARCHAR,                   -- which number was explained
    link VARCHAR,                     -- identity or logit: the unit of phi and base
    algorithm VARCHAR,
    library VARCHAR,
    features VARCHAR[],               -- the order of phi: of each part its feature or player
    reference_id VARCHAR,
    background_rows BIGINT,
    background_seed BIGINT,
    background_from TIMESTAMPTZ,
    background_to TIMESTAMPTZ,
    players VARCHAR[][],              -- the features of each part where some share one, else empty
    versus VARCHAR,                   -- fleet, device ID or decision ID: whose decisions the background is
    received_at TIMESTAMPTZ           -- when it was first used
);

CREATE TABLE attributions (
    device_id VARCHAR,
    decision_id VARCHAR,
    decision_type VARCHAR,
    decided_at TIMESTAMPTZ,
    spec_id VARCHAR,                  -- specs
    phi FLOAT[],                      -- by feature of the spec, in its link unit; NULL: see status
    se FLOAT[],                       -- standard errors of phi; empty: exact
    base DOUBLE,                      -- mean output of the background
    output DOUBLE,                    -- base + sum(phi) + residual
    residual DOUBLE,
    replay_error DOUBLE,              -- |score here - score on the device|; NULL: it recorded none
    weight DOUBLE,                    -- for how many decisions this one stands; 1 unless sampled
    status VARCHAR,                   -- ok, or what is not in order, one line
    received_at TIMESTAMPTZ           -- when it was computed
);

CREATE TABLE explain_watermarks (     -- replaced, not appended: where the worker goes on, and no record
    model_name VARCHAR,
    model_version VARCHAR,
    model_digest VARCHAR,
    reference_id VARCHAR,
    decisions BIGINT,                 -- the last row of decisions that was looked at, by rowid; -1 = none
    reviews BIGINT,                   -- the same of reviews
    received_at TIMESTAMPTZ           -- when it came to be so
);

CREATE TABLE alert_rules (            -- the newest row of a kind and decision type counts
    kind VARCHAR,                     -- of finding, such as silent; all = every kind
    decision_type VARCHAR,            -- empty: every type
    seq INTEGER,                      -- of the rows of this kind and type, from 1
    enabled BOOLEAN,                  -- NULL, here and below: as the more general rule says
    threshold DOUBLE,                 -- in the measure of the kind; what is less raises no alert
    url VARCHAR,                      -- of a webhook; empty: none
    actor VARCHAR,                    -- who set it
    identity VARCHAR,                 -- how the writer was identified; unverified on loopback
    received_at TIMESTAMPTZ           -- when it was set
);

CREATE TABLE alerts (                 -- events; an alert is what its events fold to
    alert_id VARCHAR,                 -- A-0001
    seq INTEGER,                      -- of the alert's events, from 1 without gaps
    event VARCHAR,                    -- opened, reopened, acknowledged, snoozed, resolved, delivered, failed
    actor VARCHAR,                    -- whence, or the person
    identity VARCHAR,                 -- how the person was identified; empty: whence itself
    reason VARCHAR,                   -- why it was opened or resolved, or what failed; one line
    kind VARCHAR,                     -- of the finding; this and the next six: of opened and reopened
    subject VARCHAR,                  -- the device, model, gate or input that it is about, or fleet
    decision_type VARCHAR,            -- empty: of no one type
    title VARCHAR,
    evidence VARCHAR,                 -- JSON object of numbers, by name; a name's end is its unit
    mark VARCHAR,                     -- differs where something new of the same was found
    since TIMESTAMPTZ,                -- when what was found began; NULL = not known
    until TIMESTAMPTZ,                -- end of a snooze
    url VARCHAR,                      -- of the webhook that took it, or did not
    of_seq INTEGER,                   -- the event that was delivered
    received_at TIMESTAMPTZ           -- when it happened, in the store's time
);

CREATE TABLE bins (
    bins_id VARCHAR,                  -- sha256:<64 hex> of the reference and its inputs
    reference_id VARCHAR,             -- model_references: what they were cut from, once
    inputs STRUCT(name VARCHAR, levels VARCHAR[], edges DOUBLE[], low DOUBLE, high DOUBLE)[], -- edges e of (-inf, e1], ..., (ek, inf); NaN = never recorded
    received_at TIMESTAMPTZ
);

CREATE TABLE cubes (                  -- rows of the same key add up: a view of drift is a sum of them
    bins_id VARCHAR,                  -- bins
    decision_type VARCHAR,
    hours UTINYINT,                   -- length of the bucket: each decision is in one of 1 and in one of 24
    starts_at TIMESTAMPTZ,            -- the bucket's start, of decided_at
    model VARCHAR,                    -- name and version
    device_id VARCHAR,
    decisions BIGINT,
    counts UINTEGER[],                -- input by input: each bin, then below range, above range, not finite
    sums DOUBLE[],                    -- by input, of the finite values, in its unit
    squares DOUBLE[],                 -- of their distances from the middle of the reference's range
    lows DOUBLE[],                    -- the least of them; NaN = none. Equal to highs: stuck
    highs DOUBLE[],
    received_at TIMESTAMPTZ           -- the day, at midnight UTC, on which its decisions were received
);

CREATE TABLE cube_watermarks (        -- replaced, not appended: where counting goes on, and no record
    bins_id VARCHAR,
    decision_type VARCHAR,
    arrival BIGINT,                   -- decisions of a lower arrival are in cubes, the others are not
    received_at TIMESTAMPTZ           -- when it came to be so
);

CREATE TABLE rollups (                -- replaced, not appended: what devices decided over all time, and no record
    device_id VARCHAR,
    decision_type VARCHAR,
    model_name VARCHAR,
    model_version VARCHAR,
    model_digest VARCHAR,
    resource_id VARCHAR,              -- resources: the program that sent them
    recommendation VARCHAR,           -- NULL = none
    decisions BIGINT,
    first_at TIMESTAMPTZ,             -- decided_at of the first of them,
    last_at TIMESTAMPTZ,              -- of the last, of which the next three are
    last_decision_id VARCHAR,
    last_action VARCHAR,
    last_disposition VARCHAR,
    believed_first_at TIMESTAMPTZ,    -- first_at and last_at of those whose clock agrees with the time of receipt,
    believed_last_at TIMESTAMPTZ,     -- to 184 days before and a day after; NULL = of none
    first_received_at TIMESTAMPTZ,    -- received_at of the one that came first,
    last_received_at TIMESTAMPTZ,     -- and of the one that came last
    arrival BIGINT,                   -- decisions of a lower arrival are in a row, the others in none; the same in all
    received_at TIMESTAMPTZ           -- when it came to be so
);

CREATE TABLE holds (
    hold_id VARCHAR,                  -- who holds, such as the name of an incident; not used again once released
    device_id VARCHAR,                -- NULL = every device
    first_at TIMESTAMPTZ,             -- decisions made from then, UTC,
    last_at TIMESTAMPTZ,              -- until then, both included
    reason VARCHAR,
    released BOOLEAN,                 -- true: a later row that ends the hold of this id
    received_at TIMESTAMPTZ
);

CREATE TABLE maintenance (
    started_at TIMESTAMPTZ,           -- UTC of this machine, also where the store's time is recorded
    seconds DOUBLE,                   -- of work
    retention_days INTEGER,           -- holds from then on, until another row states another
    expired BIGINT,                   -- rows that were older than that
    folded BIGINT,                    -- rows of chain_events that became part of another
    merged BIGINT,                    -- files that became part of another
    removed BIGINT,                   -- files that left the disk
    bytes_before BIGINT,              -- of all files of the newest commit
    bytes_after BIGINT,
    received_at TIMESTAMPTZ
);

CREATE VIEW gates AS
    SELECT device_id, decision_id, decision_type, decided_at, received_at, position, gate.name AS name,
        gate.kind AS kind, gate.verdict AS verdict, gate.reason AS reason, gate."input" AS "input",
        gate.operator AS operator, gate."limit" AS "limit", gate.observed AS observed
    FROM (SELECT *, unnest(range(1, len(gates) + 1)) AS position, unnest(gates) AS gate FROM decisions);

CREATE VIEW context AS
    SELECT device_id, decision_id, decision_type, decided_at, received_at, entry.key AS name, entry.value AS value
    FROM (SELECT *, unnest(map_entries(context)) AS entry FROM decisions);

CREATE VIEW chain_gaps AS
    SELECT device_id, chain_id, reached + 1 AS seq_from, seq_from - 1 AS seq_to, since
    FROM (
        SELECT device_id, chain_id, seq_from,
            coalesce(max(seq_to) OVER (PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -1) AS reached,
            min(coalesce(first_received_at, received_at)) OVER (
                PARTITION BY device_id, chain_id ORDER BY seq_from, seq_to
                ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS since
        FROM chain_events
        WHERE kind IN ('arrived', 'lost')
    )
    WHERE seq_from > reached + 1;

CREATE VIEW chain_ranges AS
    WITH told AS (
        SELECT device_id, chain_id, kind, seq_from, seq_to,
            max(seq_to) OVER (PARTITION BY device_id, chain_id, kind ORDER BY seq_from, seq_to
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
        FROM chain_events
        WHERE kind IN ('arrived', 'lost', 'verified')
    ), ends AS (
        SELECT device_id, chain_id, kind, max(seq_to) AS last_seq
        FROM told
        GROUP BY device_id, chain_id, kind
    )
    SELECT device_id, chain_id, kind, seq_from,
        coalesce(lead(reached) OVER (PARTITION BY device_id, chain_id, kind ORDER BY seq_from), last_seq) AS seq_to
    FROM told JOIN ends USING (device_id, chain_id, kind)
    WHERE reached IS NULL OR seq_from > reached + 1;

CREATE VIEW chain_status AS
    WITH told AS (
        SELECT device_id, chain_id,
            max(seq_to) FILTER (kind IN ('arrived', 'lost')) AS last_seq,
            count(DISTINCT (seq_from, digest)) FILTER (kind = 'fork') AS forks,
            count(*) FILTER (kind = 'broken') AS broken,
            count(*) FILTER (kind = 'bad signature') AS bad_signatures,
            count(DISTINCT seq_to) FILTER (kind = 'stranger' AND (device_id, chain_id, seq_to) NOT IN (
                SELECT (device_id, chain_id, seq_to) FROM chain_events WHERE kind = 'signed')) AS strangers,
            max(seq_to) FILTER (kind = 'signed') + 1 AS checkpoint_seq,
            max(received_at) FILTER (kind = 'signed') AS signed_at,
            arg_max(head, seq_to) FILTER (kind = 'signed') AS signed_head,
            arg_max(key_id, seq_to) FILTER (kind = 'signed') AS key_id,
            any_value(detail) FILTER (kind = 'successor') AS predecessor,
            any_value(detail) FILTER (kind = 'claimed') AS claimed_from,
            min(coalesce(first_received_at, received_at)) AS first_received_at,
            max(received_at) AS last_received_at
        FROM chain_events
        GROUP BY device_id, chain_id
    ), counted AS (
        SELECT device_id, chain_id, min(seq_from) FILTER (kind = 'arrived') AS first_seq,
            CAST(coalesce(sum(seq_to - seq_from + 1) FILTER (kind = 'arrived'), 0) AS BIGINT) AS arrived,
            CAST(coalesce(sum(seq_to - seq_from + 1) FILTER (kind = 'verified'), 0) AS BIGINT) AS verified,
            max(seq_to) FILTER (kind = 'verified') AS verified_to,
            CAST(coalesce(sum(greatest(0, seq_to - greatest(seq_from, coalesce(checkpoint_seq, -1) + 1) + 1))
                FILTER (kind = 'arrived'), 0) AS BIGINT) AS unsigned_tail
        FROM chain_ranges JOIN told USING (device_id, chain_id)
        GROUP BY device_id, chain_id
    ), gone AS (
        SELECT device_id, chain_id, CAST(sum(seq_to - seq_from + 1) AS BIGINT) AS missing, min(since) AS missing_since
        FROM chain_gaps
        GROUP BY device_id, chain_id
    )
    SELECT told.* EXCLUDE (last_seq), first_seq, last_seq, coalesce(arrived, 0) AS arrived,
        coalesce(missing, 0) AS missing, missing_since,
        last_seq + 1 - coalesce(missing, 0) - coalesce(arrived, 0) AS lost,
        coalesce(verified, 0) AS verified, verified_to, coalesce(unsigned_tail, 0) AS unsigned_tail
    FROM told LEFT JOIN counted USING (device_id, chain_id) LEFT JOIN gone USING (device_id, chain_id);

CREATE VIEW decisions_final AS
    SELECT d.device_id, d.decision_id, d.decision_type, d.decided_at, d.received_at,
        d.recommendation, d.score, d.action, d.disposition, r.gate AS review_gate,
        r.verdict AS review_verdict, r.reviewer, r.reason AS review_reason, r.reviewed_at,
        coalesce(r.action, d.action) AS final_action
    FROM decisions AS d LEFT JOIN (
        FROM reviews
        QUALIFY row_number() OVER (
            PARTITION BY device_id, decision_id ORDER BY reviewed_at DESC, span_id) = 1
    ) AS r USING (device_id, decision_id);

CREATE VIEW held AS
    SELECT d.device_id, d.decision_id, d.chain_id, d.decided_at, d.received_at
    FROM decisions AS d
    WHERE EXISTS (
        FROM holds AS h
        WHERE (h.device_id IS NULL OR h.device_id = d.device_id)
            AND d.decided_at >= h.first_at AND d.decided_at <= h.last_at
            AND h.hold_id NOT IN (SELECT hold_id FROM holds WHERE released)
    );


CREATE VIEW alert_status AS               -- as monitor/alerts.py folds them
    WITH found AS (
        SELECT alert_id, max(seq) AS found_seq,
            min(received_at) FILTER (event = 'opened') AS opened_at
        FROM alerts
        WHERE event IN ('opened', 'reopened')
        GROUP BY alert_id
        HAVING opened_at IS NOT NULL
    ), later AS (
        SELECT alert_id, min(seq) FILTER (event = 'resolved') AS resolved_seq,
            max(seq) FILTER (event IN ('acknowledged', 'snoozed')) AS answered_seq,
            bool_or(event = 'resolved' AND identity = '') AS gone
        FROM alerts JOIN found USING (alert_id)
        WHERE seq > found_seq
        GROUP BY alert_id
    )
    SELECT alert_id,
        CASE WHEN c.event IN ('opened', 'reopened') THEN 'open' ELSE c.event END AS state,
        NOT coalesce(gone, false) AS stands, f.kind, f.subject, f.decision_type, f.title, f.reason, f.evidence,
        f.since, opened_at, f.received_at AS found_at, c.received_at AS changed_at, c.actor AS changed_by,
        c.reason AS change_reason, c.until AS snoozed_until
    FROM found LEFT JOIN later USING (alert_id)
        JOIN alerts AS f ON f.alert_id = found.alert_id AND f.seq = found_seq
        JOIN alerts AS c ON c.alert_id = found.alert_id
            AND c.seq = coalesce(resolved_seq, answered_seq, found_seq);

CREATE VIEW proposals AS                  -- as store/read_truth.py judges them
    SELECT d.device_id, d.decision_id, d.decision_type, d.decided_at, d.received_at, d.model_name,
        d.model_version, d.recommendation, d.score, d.threshold, d.action, d.disposition,
        CASE WHEN isfinite(d.score) AND isfinite(d.threshold) THEN d.score >= d.threshold END AS acts,
        coalesce(final_action = d.recommendation, approved, d.disposition IN ('executed', 'modified')) AS actuated,
        label, "value", source, observed_at, "value" >= 0.5 AS needed, needed = acts AS "right"
    FROM decisions AS d LEFT JOIN (
        SELECT device_id, decision_id, label, "value", source, observed_at
        FROM outcomes
        WHERE "value" BETWEEN 0 AND 1
        QUALIFY row_number() OVER (PARTITION BY device_id, decision_id
            ORDER BY validated_by IS NULL, observed_at DESC, trace_id DESC, span_id DESC) = 1
    ) AS truth USING (device_id, decision_id) LEFT JOIN (
        SELECT device_id, decision_id, bool_and(verdict IN ('pass', 'modify')) AS approved,
            arg_max(action, reviewed_at) AS final_action
        FROM (
            FROM reviews
            QUALIFY row_number() OVER (PARTITION BY device_id, decision_id, gate
                ORDER BY reviewed_at DESC, trace_id DESC, span_id DESC) = 1
        )
        GROUP BY device_id, decision_id
    ) AS final USING (device_id, decision_id)
    WHERE d.recommendation IS NOT NULL;

CREATE VIEW drift_counts AS               -- cubes of an hour, decoded
    WITH listed AS (
        SELECT bins_id, reference_id, unnest(inputs) AS listed_input,
            unnest(range(1, len(inputs) + 1)) AS place
        FROM bins
    ), placed AS (
        SELECT bins_id, reference_id, listed_input.name AS "input", listed_input.levels AS levels,
            listed_input.edges AS edges, len(edges) + 1 AS size,
            CAST(coalesce(sum(size + 3) OVER (PARTITION BY bins_id ORDER BY place
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS BIGINT) AS before
        FROM listed
    ), slotted AS (
        SELECT *, unnest(range(1, size + 4)) AS slot FROM placed
    )
    SELECT reference_id, decision_type, model, device_id, starts_at, "input",
        CASE slot - size WHEN 1 THEN 'below range' WHEN 2 THEN 'above range' WHEN 3 THEN 'not finite'
            ELSE 'bin' END AS counted,
        CASE WHEN counted = 'bin' THEN slot END AS bin,
        CASE WHEN counted = 'bin' AND len(levels) = 0 THEN edges[slot - 1] END AS low,
        CASE WHEN counted = 'bin' AND len(levels) = 0 THEN edges[slot] END AS high,
        CASE WHEN counted = 'bin' THEN levels[slot] END AS level,
        CAST(sum(counts[before + slot]) AS BIGINT) AS n, CAST(sum(decisions) AS BIGINT) AS decisions
    FROM cubes JOIN slotted USING (bins_id)
    WHERE hours = 1
    GROUP BY ALL
    HAVING n > 0;

CREATE VIEW cadence AS                    -- as store/read_cadence.py tells it, over all time
    WITH paused AS (
        SELECT decision_type, device_id, decided_at,
            (epoch_us(decided_at) - epoch_us(lag(decided_at) OVER (
                PARTITION BY decision_type, device_id ORDER BY decided_at))) / 1e6 AS gap_s
        FROM decisions
    ), usual AS (
        SELECT decision_type, device_id, median(gap_s) AS cadence_s, max(decided_at) AS last_decided_at
        FROM paused
        WHERE gap_s > 0
        GROUP BY ALL
    )
    SELECT decision_type, device_id, cadence_s, count(*) AS gaps,
        count(*) FILTER (abs(gap_s / cadence_s - 1) <= 0.25) AS regular,
        gaps >= 20 AND regular >= 0.8 * gaps AS has_cadence, last_decided_at
    FROM paused JOIN usual USING (decision_type, device_id)
    WHERE gap_s > 0
    GROUP BY ALL;
