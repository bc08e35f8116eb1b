// The words for what hosts send as codes. The code stays beside them, for search.

// In the order in which a host asks them, as agent/core/policy/decision.py has it
export const REASONS = [
  "not-pytorch", "unknown", "ambiguous", "in-use", "excluded", "pinned", "label-keep", "protected-tag", "rule-keep",
  "keep-newest", "local-only", "not-pullable", "min-age", "gap", "dangling", "disk-pressure", "idle-ttl", "has-children", "recent",
];

// Complete "412 GB ..."
export const HOLDS = {
  "in-use": "in use",
  "local-only": "exist nowhere else that we know",
  "not-pullable": "can no longer be pulled",
  "protected-tag": "have a protected tag",
  pinned: "are pinned",
  "label-keep": "carry a keep label",
  excluded: "are excluded",
  "rule-keep": "are kept by a rule",
  "keep-newest": "are among the newest",
  "min-age": "arrived only recently",
  gap: "wait after a blind time",
  ambiguous: "may or may not be PyTorch",
  "not-pytorch": "are not PyTorch",
  unknown: "could not be inspected",
  recent: "were used recently",
  "has-children": "have images built on them",
  dangling: "have no name and go",
  "disk-pressure": "go for disk space",
  "idle-ttl": "are idle past their TTL and go",
  observe: "are due, but the agent only observes",
  paused: "are due, but evictions are paused",
  window: "are due, but wait for their window",
  "rate-limit": "are due, but a limit is reached",
  clock: "are due, but the host's clock is not trusted",
  unproven: "are due, but events may be missing",
  backoff: "are due, but their removal failed before",
};

// The question of each step of the ladder
export const QUESTIONS = {
  "not-pytorch": "Does nothing show that it is a PyTorch image?",
  unknown: "Could the engine not inspect it?",
  ambiguous: "May it be PyTorch, but not for certain?",
  "in-use": "Does a container use it?",
  excluded: "Does images.exclude match it?",
  pinned: "Is it pinned?",
  "label-keep": "Do its labels keep it?",
  "protected-tag": "Does policy.protect match a tag?",
  "rule-keep": "Does a rule keep it?",
  "keep-newest": "Is it among the newest of its repository?",
  "local-only": "May it exist nowhere else?",
  "not-pullable": "Is it gone from its registry?",
  "min-age": "Did it arrive or change its name only recently?",
  gap: "May a use have been missed in a blind time?",
  dangling: "Is it without a name for too long?",
  "disk-pressure": "Is its disk space needed?",
  "idle-ttl": "Is it idle longer than its TTL?",
  "has-children": "Are images built on it that stay?",
  recent: "Otherwise: it was used recently",
};

export const HELD_BY = {
  observe: "observe mode: only reported",
  paused: "evictions are paused",
  window: "outside the window",
  "rate-limit": "the rate limit is used up",
  clock: "the clock jumped",
  unproven: "the event stream is not proven yet",
  backoff: "refused or failed before; waits",
};

export const OUTCOMES = {
  removed: "removed",
  refused: "refused",
  failed: "failed",
  "would-remove": "would remove",
  pending: "no outcome yet",
};

export const EVENTS = {
  gap: "Blind times",
  dropped: "Events given up",
  sweep: "Sweeps",
  "build-cache": "Build cache",
};

export function holds(reason, fallback = reason) {
  return HOLDS[reason] ?? fallback;
}

export function outcome(code) {
  return code ? OUTCOMES[code] ?? code : OUTCOMES.pending;
}
