-- name: get_meta
SELECT value FROM meta WHERE key = :key

-- name: put_meta
INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: adopt_engine
-- A row without a root directory gets that of the first engine that connects with its ID and driver.
UPDATE engines SET root = :root
WHERE engine_id = :engine_id AND driver = :driver AND root IS NULL AND NOT EXISTS
    (SELECT 1 FROM engines WHERE engine_id = :engine_id AND driver = :driver AND root = :root)

-- name: count_waiting
SELECT count(*) FROM events WHERE retired = 0 AND set_aside IS NULL

-- name: set_events_apart
INSERT INTO former_events (host, epoch, seq, type, at, subject, decision_id, data)
SELECT coalesce((SELECT value FROM meta WHERE key = 'host'), ''), (SELECT value FROM meta WHERE key = 'epoch'),
    seq, type, at, subject, decision_id, data
FROM events

-- name: drop_events
DELETE FROM events

-- name: restart_numbers
DELETE FROM sqlite_sequence WHERE name = 'events'

-- name: drop_identity
DELETE FROM meta WHERE key IN ('host', 'watermark')

-- name: get_former_events
SELECT * FROM former_events WHERE at >= :since ORDER BY at, epoch, seq

-- name: former_decision
SELECT * FROM former_events WHERE type = 'torchkeeper.decision' AND decision_id = :decision_id

-- name: forget_former_events
DELETE FROM former_events WHERE at < :before

-- name: add_engine
INSERT INTO engines (engine_id, driver, root) VALUES (:engine_id, :driver, :root)
ON CONFLICT (engine_id, driver, root) DO NOTHING

-- name: find_engine
SELECT engine FROM engines WHERE engine_id = :engine_id AND driver = :driver AND root = :root

-- name: get_engine
SELECT * FROM engines WHERE engine = :engine

-- name: latest_engine
SELECT * FROM engines WHERE alive_at IS NOT NULL ORDER BY alive_at DESC LIMIT 1

-- name: move_cursor
UPDATE engines SET cursor_ns = :cursor_ns, cursor_key = :cursor_key, alive_at = :alive_at,
    alive_steady = :alive_steady, alive_awake = :alive_awake, boot = :boot, engine_ended = 0
WHERE engine = :engine AND :cursor_ns >= cursor_ns

-- name: rewind
UPDATE engines SET cursor_ns = :cursor_ns, cursor_key = :cursor_key, alive_at = :alive_at,
    alive_steady = :alive_steady, alive_awake = :alive_awake, boot = :boot, engine_ended = 0
WHERE engine = :engine

-- name: add_absence
INSERT INTO absences (engine, since, until) VALUES (:engine, :since, :until) ON CONFLICT DO NOTHING

-- name: get_absences
SELECT * FROM absences WHERE engine = :engine ORDER BY since

-- name: past_evictions
SELECT outcomes.at AS at, json_extract(decisions.data, '$.estimated_bytes') AS bytes
FROM events AS outcomes
JOIN events AS decisions ON decisions.decision_id = outcomes.decision_id AND decisions.type = 'torchkeeper.decision'
WHERE outcomes.type = 'torchkeeper.outcome' AND outcomes.at > :since
  AND json_extract(outcomes.data, '$.outcome') = 'removed'
ORDER BY outcomes.at

-- name: heartbeat
UPDATE engines SET alive_at = :alive_at, alive_steady = :alive_steady, alive_awake = :alive_awake, boot = :boot,
    engine_ended = :engine_ended
WHERE engine = :engine AND (alive_at IS NULL OR :alive_at >= alive_at)

-- name: set_gap
UPDATE engines SET gap_end = max(coalesce(gap_end, 0), :gap_end) WHERE engine = :engine

-- name: get_usages
SELECT * FROM usage WHERE engine = :engine

-- name: put_usage
INSERT INTO usage (engine, image_id, first_seen, arrived, last_used, last_used_by, released, protected,
                   image_references, references_changed, pulled, present)
VALUES (:engine, :image_id, :first_seen, :arrived, :last_used, :last_used_by, :released, :protected,
        :image_references, :references_changed, :pulled, :present)
ON CONFLICT (engine, image_id) DO UPDATE SET
    first_seen = excluded.first_seen, arrived = excluded.arrived, last_used = excluded.last_used,
    last_used_by = excluded.last_used_by, released = excluded.released, protected = excluded.protected,
    image_references = excluded.image_references, references_changed = excluded.references_changed,
    pulled = excluded.pulled, present = excluded.present

-- name: get_containers
SELECT * FROM containers WHERE engine = :engine

-- name: put_container
INSERT INTO containers (engine, container_id, image_id, name, state, mounted)
VALUES (:engine, :container_id, :image_id, :name, :state, :mounted)
ON CONFLICT (engine, container_id) DO UPDATE SET
    image_id = excluded.image_id, name = excluded.name, state = excluded.state, mounted = excluded.mounted

-- name: drop_container
DELETE FROM containers WHERE engine = :engine AND container_id = :container_id

-- name: add_use
INSERT INTO uses (engine, container_id, at, action, image_id, used_by)
VALUES (:engine, :container_id, :at, :action, :image_id, :used_by)
ON CONFLICT DO NOTHING

-- name: get_uses
SELECT * FROM uses WHERE engine = :engine AND image_id = :image_id ORDER BY at DESC LIMIT :most

-- name: count_ignored_run
INSERT INTO ignored_runs (engine, image_id, pattern, runs, first_at, last_at)
VALUES (:engine, :image_id, :pattern, 1, :at, :at)
ON CONFLICT (engine, image_id, pattern) DO UPDATE SET
    runs = runs + 1, first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)

-- name: get_ignored_runs
SELECT * FROM ignored_runs WHERE engine = :engine AND image_id = :image_id ORDER BY pattern

-- name: image_of_container
SELECT image_id FROM uses WHERE engine = :engine AND container_id = :container_id LIMIT 1

-- name: add_event
-- Not ON CONFLICT DO NOTHING: an ignored row would use up a number, for which the collector would wait.
INSERT INTO events (type, at, subject, decision_id, data)
SELECT :type, :at, :subject, :decision_id, :data
WHERE :type <> 'torchkeeper.decision' OR NOT EXISTS
    (SELECT 1 FROM events WHERE type = 'torchkeeper.decision' AND decision_id = :decision_id)
RETURNING seq

-- name: get_events
SELECT * FROM events WHERE at >= :since ORDER BY seq

-- name: last_decisions
SELECT * FROM events WHERE type = 'torchkeeper.decision' ORDER BY seq DESC LIMIT :most

-- name: last_outcome
SELECT * FROM events WHERE type = 'torchkeeper.outcome' AND decision_id = :decision_id ORDER BY seq DESC LIMIT 1

-- name: also_removed
SELECT * FROM events
WHERE type = 'torchkeeper.outcome' AND at > :since AND json_array_length(data, '$.also_removed') > 0
ORDER BY seq DESC

-- name: unsent
SELECT * FROM events WHERE seq > :after AND retired = 0 AND set_aside IS NULL ORDER BY seq LIMIT :most

-- name: retire
UPDATE events SET retired = 1
WHERE seq <= :up_to AND retired = 0 AND set_aside IS NULL AND seq NOT IN (SELECT value FROM json_each(:deferred))
  AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'watermark')
RETURNING length(data) AS bytes

-- name: retire_acknowledged
UPDATE events SET retired = 1 WHERE seq <= :up_to AND retired = 0 AND set_aside IS NULL
RETURNING length(data) AS bytes

-- name: take_back
UPDATE events SET retired = 0 WHERE seq > :watermark AND retired = 1
RETURNING length(data) AS bytes

-- name: set_aside
UPDATE events SET set_aside = :error
WHERE seq = :seq AND retired = 0 AND set_aside IS NULL AND type NOT IN ('torchkeeper.decision', 'torchkeeper.outcome')
RETURNING seq, type, data, length(data) AS bytes

-- name: last_seq
SELECT seq FROM sqlite_sequence WHERE name = 'events'

-- name: numbers
SELECT seq FROM events WHERE seq > :above AND set_aside IS NULL

-- name: dropped
SELECT type, data FROM events WHERE seq > :above AND set_aside IS NULL AND type = 'torchkeeper.dropped'

-- name: waiting_bytes
SELECT coalesce(sum(length(data) + :row_bytes), 0) AS bytes FROM events WHERE retired = 0 AND set_aside IS NULL

-- name: telemetry
SELECT seq, length(data) AS bytes FROM events
WHERE retired = 0 AND set_aside IS NULL AND type NOT IN ('torchkeeper.decision', 'torchkeeper.outcome')
ORDER BY seq

-- name: give_up_telemetry
DELETE FROM events
WHERE seq <= :up_to AND retired = 0 AND set_aside IS NULL
  AND type NOT IN ('torchkeeper.decision', 'torchkeeper.outcome')
RETURNING seq, type, data, length(data) AS bytes

-- name: give_up_before
DELETE FROM events
WHERE at < :before AND retired = 0 AND set_aside IS NULL
  AND (:all OR type NOT IN ('torchkeeper.decision', 'torchkeeper.outcome'))
RETURNING seq, type, data, length(data) AS bytes

-- name: forget_events
DELETE FROM events WHERE at < :before AND (retired = 1 OR set_aside IS NOT NULL)

-- name: forget_uses
DELETE FROM uses WHERE at < :before

-- name: forget_ignored_runs
DELETE FROM ignored_runs WHERE last_at < :before

-- name: forget_usages
DELETE FROM usage WHERE present = 0 AND max(first_seen, coalesce(arrived, 0), coalesce(last_used, 0)) < :before

-- name: add_removal
INSERT INTO removals (engine, image_id, decision_id, image_references, at, image)
VALUES (:engine, :image_id, :decision_id, :image_references, :at, :image)
ON CONFLICT (engine, image_id) DO UPDATE SET decision_id = excluded.decision_id,
    image_references = excluded.image_references, at = excluded.at, image = excluded.image

-- name: get_removals
SELECT * FROM removals WHERE engine = :engine ORDER BY at

-- name: drop_removal
DELETE FROM removals WHERE engine = :engine AND image_id = :image_id

-- name: get_backoff
SELECT * FROM backoff WHERE engine = :engine

-- name: put_backoff
INSERT INTO backoff (engine, image_id, failures, not_before) VALUES (:engine, :image_id, :failures, :not_before)
ON CONFLICT (engine, image_id) DO UPDATE SET failures = excluded.failures, not_before = excluded.not_before

-- name: drop_backoff
DELETE FROM backoff WHERE engine = :engine AND image_id = :image_id

-- name: get_layer_looks
SELECT * FROM layer_looks WHERE engine = :engine AND rules = :rules

-- name: put_layer_look
INSERT INTO layer_looks (engine, image_id, rules, found, path, layer, torch_version, accelerator)
VALUES (:engine, :image_id, :rules, :found, :path, :layer, :torch_version, :accelerator)
ON CONFLICT (engine, image_id) DO UPDATE SET
    rules = excluded.rules, found = excluded.found, path = excluded.path, layer = excluded.layer,
    torch_version = excluded.torch_version, accelerator = excluded.accelerator

-- name: forget_layer_looks
-- Of images whose usage is deleted. An image that is probed before its usage is written is probed again.
DELETE FROM layer_looks WHERE NOT EXISTS
    (SELECT 1 FROM usage WHERE usage.engine = layer_looks.engine AND usage.image_id = layer_looks.image_id)

-- name: count_outcomes
-- Sums by reason and outcome of the outcomes with a number above :after and since :since. `freed`: measured, else estimated.
SELECT coalesce(json_extract(decisions.data, '$.reason'), 'other') AS reason,
    json_extract(outcomes.data, '$.outcome') AS outcome,
    count(*) AS evictions,
    sum(max(0, coalesce(json_extract(outcomes.data, '$.measured_bytes'), 0))) AS measured,
    sum(coalesce(json_extract(decisions.data, '$.estimated_bytes'), 0)) AS estimated,
    sum(max(0, coalesce(json_extract(outcomes.data, '$.measured_bytes'),
        json_extract(decisions.data, '$.estimated_bytes'), 0))) AS freed,
    sum(json_extract(outcomes.data, '$.measured_bytes') IS NULL) AS unmeasured
FROM events AS outcomes
LEFT JOIN events AS decisions
    ON decisions.decision_id = outcomes.decision_id AND decisions.type = 'torchkeeper.decision'
WHERE outcomes.type = 'torchkeeper.outcome' AND outcomes.seq > :after AND outcomes.at > :since
GROUP BY 1, 2

-- name: count_gaps
SELECT json_extract(data, '$.cause') AS cause, count(*) AS gaps, sum(json_extract(data, '$.seconds')) AS seconds
FROM events WHERE type = 'torchkeeper.gap' AND seq > :after
GROUP BY 1

-- name: count_dropped
SELECT json_extract(data, '$.reason') AS reason, sum(json_extract(data, '$.count')) AS events
FROM events WHERE type = 'torchkeeper.dropped' AND seq > :after
GROUP BY 1

-- name: freed_build_cache
SELECT coalesce(sum(max(0, coalesce(json_extract(data, '$.measured_bytes'), 0))), 0) AS bytes
FROM events WHERE type = 'torchkeeper.build-cache' AND seq > :after AND at > :since

-- name: regrets
-- The evictions whose image came back before the TTL had passed that it had when it was evicted.
SELECT outcomes.seq AS seq
FROM usage
JOIN events AS outcomes ON outcomes.subject = usage.image_id
JOIN events AS decisions
    ON decisions.decision_id = outcomes.decision_id AND decisions.type = 'torchkeeper.decision'
WHERE outcomes.type = 'torchkeeper.outcome' AND json_extract(outcomes.data, '$.outcome') = 'removed'
  AND usage.arrived > outcomes.at
  AND usage.arrived <= outcomes.at + 1000000 * json_extract(decisions.data, '$.ttl_seconds')

-- name: first_seq
SELECT min(seq) AS seq FROM events

-- name: waiting_rows
SELECT count(*) AS waiting, min(at) AS oldest FROM events WHERE retired = 0 AND set_aside IS NULL
