"""Mistakes in a configuration: a name, the text of the file, and the beginning of the error message."""

PRESSURE = "[pressure]\nhigh = '{}'\nlow = '{}'\n"
WINDOW = "[schedule]\nwindows = ['{}']"
MISTAKES = [
    ("an unknown key", "[policy]\ntll = '7d'", "policy.tll: is an unknown key; did you mean ttl?"),
    ("an unknown section", "[polcy]\nttl = '7d'", "polcy: is an unknown key; did you mean [policy]?"),
    ("a key of a later release", "[remote]\naccept = []", "remote: is an unknown key"),
    (
        "an unknown key of a section in a section",
        "[monitor.auth]\nmodus = 'open'",
        "monitor.auth.modus: is an unknown key; did you mean mode?",
    ),
    ("an unknown way to log in", "[monitor.auth]\nmode = 'oidc'", "monitor.auth.mode: must be 'open', 'token'"),
    ("a history that is kept for no time", "[monitor]\nretention = '0s'", "monitor.retention: must be longer than 0"),
    (
        "an address without a port",
        "[monitor]\nlisten = '127.0.0.1'",
        "monitor.listen: '127.0.0.1' is not an address and a port; write it like 127.0.0.1:9478",
    ),
    (
        "an address of health and metrics without a port",
        "[http]\nlisten = 'localhost'",
        "http.listen: 'localhost' is not an address and a port; write it like 127.0.0.1:9477",
    ),
    ("an unknown key of [http]", "[http]\nport = 9477", "http.port: is an unknown key; known here: listen"),
    (
        "a port that is too large",
        "[monitor]\nlisten = '127.0.0.1:65536'",
        "monitor.listen: '127.0.0.1:65536' is not an",
    ),
    (
        "actions of a later release",
        "[monitor]\nactions = true",
        "monitor.actions: actions are not available yet; leave",
    ),
    (
        "a public address without a scheme",
        "[monitor]\npublic_url = 'fleet.example'",
        "monitor.public_url: 'fleet.example' is not the address of a page; write it like https://",
    ),
    (
        "every address as a proxy",
        "[monitor.auth]\ntrusted_proxies = ['10.0.0.1', '0.0.0.0/0']",
        "monitor.auth.trusted_proxies: '0.0.0.0/0' is every address",
    ),
    (
        "every IPv6 address as a proxy",
        "[monitor.auth]\ntrusted_proxies = ['::/0']",
        "monitor.auth.trusted_proxies: '::/0' is every address",
    ),
    (
        "a proxy that is no address",
        "[monitor.auth]\ntrusted_proxies = ['proxy']",
        "monitor.auth.trusted_proxies: 'proxy' is neither an address nor a network",
    ),
    (
        "a header that is none",
        "[monitor.auth]\nuser_header = 'Remote User'",
        "monitor.auth.user_header: 'Remote User' is not the name of a header",
    ),
    (
        "an unknown key of a rule",
        "[[policy.rules]]\nmatch='x'\nkeeep=true\nttl='1d'",
        'policy.rules: the 1st rule (match = "x"): keeep: is an unknown key; did you mean keep?',
    ),
    ("a value outside a section", "ttl = '7d'", "ttl: is a value outside a section"),
    ("a TTL of 0", "[policy]\nttl = '0s'", "policy.ttl: must be longer than 0"),
    ("a negative TTL", "[policy]\nttl = '-1d'", "policy.ttl: '-1d' is not a duration"),
    ("a TTL without a unit", "[policy]\nttl = 14", "policy.ttl: 14 is not a duration; write a number and a unit, like"),
    (
        "a rule's TTL of 0",
        "[[policy.rules]]\nmatch='x'\nttl='0s'",
        'policy.rules: the 1st rule (match = "x"): ttl: must be longer than 0',
    ),
    (
        "a rule that says nothing",
        "[[policy.rules]]\nmatch='x'",
        'policy.rules: the 1st rule (match = "x"): has no effect',
    ),
    (
        "a rule that contradicts itself",
        "[[policy.rules]]\nmatch='x'\nkeep=true\nttl='1d'",
        'policy.rules: the 1st rule (match = "x"): has both',
    ),
    ("a rule without a match", "[[policy.rules]]\nkeep=true", "policy.rules: the 1st rule: match: is missing"),
    (
        "keep that is no boolean",
        "[[policy.rules]]\nmatch='x'\nkeep='yes'",
        'policy.rules: the 1st rule (match = "x"): keep: must be true or false',
    ),
    ("a limit of 0", "[limits]\nevictions_per_sweep = 0", "limits.evictions_per_sweep"),
    ("a budget of 0", "[limits]\nbytes_per_hour = '0GB'", "limits.bytes_per_hour: must be more than 0 bytes"),
    ("a budget without a unit", "[limits]\nbytes_per_hour = 5", "limits.bytes_per_hour: 5 is not a size"),
    ("an unknown mode", "[agent]\nmode = 'dry'", "agent.mode: must be 'enforce' or 'observe' (it is 'dry')"),
    (
        "a relative state folder",
        "[agent]\nstate_dir = 'state'",
        "agent.state_dir: 'state' is not an absolute path; write one",
    ),
    ("a state folder under ~", "[agent]\nstate_dir = '~/tk'", "agent.state_dir: '~/tk' is not an absolute path"),
    ("a state folder of no name", "[agent]\nstate_dir = ''", "agent.state_dir: '.' is not an absolute path"),
    (
        "a host that is no topic level",
        "[agent]\nhost = 'a/b'",
        "agent.host: 'a/b' cannot be part of a topic; try 'a-b'",
    ),
    ("a list that is a string", "[images]\ninclude = 'x'", 'images.include: must be a list: include = ["x"]'),
    ("an empty pattern", "[images]\ninclude = ['']", "images.include: the 1st entry: is an empty pattern"),
    (
        "an engine over ssh",
        "[docker]\nurl = 'ssh://gpu-07'",
        "docker.url: ssh:// is not supported; run torchkeeper on that host, or forward its socket with `ssh -N -L",
    ),
    (
        "a home folder",
        "[agent]\nstate_dir = '~/tk'",
        "agent.state_dir: '~/tk' is not an absolute path; write one like /var/lib/torchkeeper",
    ),
    (
        "an engine's address of no known kind",
        "[docker]\nurl = '/var/run/docker.sock'",
        "docker.url: '/var/run/docker.sock' is not",
    ),
    ("a broker's address of no known kind", "[mqtt]\nurl = 'http://x'", "mqtt.url: 'http://x' is not mqtt://"),
    (
        "a password in the address",
        "[mqtt]\nurl = 'mqtt://u:p@x'",
        "mqtt.url: the address contains a user or a password",
    ),
    ("a broker's address that is a number", "[mqtt]\nurl = 5", "mqtt.url: 5 is not mqtt://host"),
    (
        "a broker's port that is none",
        "[mqtt]\nurl = 'mqtt://h:70000'",
        "mqtt.url: 'mqtt://h:70000' has a port that is not between",
    ),
    (
        "one bad address of several",
        "[mqtt]\nurl = ['mqtt://a', 'tcp://b']",
        "mqtt.url: entry 2 of the list: 'tcp://b' is not mqtt://host[:port], mqtts://host[:port] or wss://host[:port]/path",
    ),
    (
        "an empty address of several",
        "[mqtt]\nurl = ['mqtt://a', '']",
        "mqtt.url: entry 2 of the list: '' is not mqtt:/",
    ),
    (
        "a password in one address of several",
        "[mqtt]\nurl = ['mqtt://a', 'mqtt://u:p@x']",
        "mqtt.url: entry 2 of the list: the address contains a user or a password",
    ),
    (
        "certificates without TLS",
        "[mqtt]\nurl = ['mqtts://a', 'mqtt://b']\nca_file = '/ca'",
        "mqtt.url: 'mqtt://b' is not encrypted, but certificates are set; use mqtts://",
    ),
    (
        "a password without a user",
        "[mqtt]\nurl = 'mqtt://h'\npassword_file = '/p'",
        "mqtt.username: is empty, but mqtt",
    ),
    (
        "certificates for a WebSocket without TLS",
        "[mqtt]\nurl = 'ws://b/mqtt'\nca_file = '/ca'",
        "mqtt.url: 'ws://b/mqtt' is not encrypted, but certificates are set; use wss://",
    ),
    ("a WebSocket with a query", "[mqtt]\nurl = 'wss://b/mqtt?token=x'", "mqtt.url: 'wss://b/mqtt?token=x' is not"),
    ("a path without a WebSocket", "[mqtt]\nurl = 'mqtt://b/mqtt'", "mqtt.url: 'mqtt://b/mqtt' is not mqtt://host"),
    ("a WebSocket's port of no use", "[mqtt]\nurl = 'wss://b:0/mqtt'", "mqtt.url: 'wss://b:0/mqtt' has a port that"),
    (
        "a key without its certificate",
        "[mqtt]\nurl = 'mqtts://b'\nkey_file = '/k'",
        "mqtt.cert_file: is empty, but mqtt.key_file is set; set both",
    ),
    ("an unknown version of MQTT", "[mqtt]\nversion = '4'", "mqtt.version: must be 'auto', '5' or '3.1.1'"),
    ("a prefix with a wildcard", "[mqtt]\nprefix = 'a/+'", "mqtt.prefix: 'a/+' cannot begin a topic"),
    ("a keepalive that MQTT cannot say", "[mqtt]\nkeepalive = '1d'", "mqtt.keepalive: must be whole seconds between"),
    ("a keepalive of a moment", "[mqtt]\nkeepalive = '4s'", "mqtt.keepalive: must be whole seconds between"),
    ("a keepalive with a fraction", "[mqtt]\nkeepalive = '7.5s'", "mqtt.keepalive: must be whole seconds between"),
    ("an inventory each second", "[mqtt]\ninventory_every = '1s'", "mqtt.inventory_every: must be at least 2s"),
    ("an unknown confirmation", "[mqtt]\nconfirm = 'both'", "mqtt.confirm: must be 'broker' or 'collector'"),
    ("probe_layers that is no boolean", "[images]\nprobe_layers = 'yes'", "images.probe_layers"),
    ("compress that is no boolean", "[mqtt]\ncompress = 'zlib'", "mqtt.compress"),
    ("no TOML", "[policy", "is not valid TOML"),
    ("low at high", PRESSURE.format("85%", "85%"), "pressure.low: 85% is not below high, 85%"),
    ("low above high", PRESSURE.format("75%", "85%"), "pressure.low: 85% is not below high, 75%"),
    ("high without low", "[pressure]\nhigh = '85%'", "pressure.low: is missing"),
    ("low without high", "[pressure]\nlow = '75%'", "pressure.high: is missing"),
    ("a budget of 0 for images", "[pressure]\nbudget = '0GB'", "pressure.budget: must be more than 0 bytes"),
    ("a budget for images without a unit", "[pressure]\nbudget = 200", "pressure.budget: 200 is not a size"),
    ("a budget beside both", PRESSURE.format("85%", "75%") + "budget = '1GB'", "pressure.budget: cannot be combined"),
    ("a budget beside high", "[pressure]\nhigh = '85%'\nbudget = '1GB'", "pressure.budget: cannot be combined"),
    ("a budget beside low", "[pressure]\nlow = '85%'\nbudget = '1GB'", "pressure.budget: cannot be combined"),
    ("a share without its sign", PRESSURE.format("85", "75%"), "pressure.high: '85' is not a percentage"),
    ("a share that is a number", "[pressure]\nhigh = 85\nlow = '75%'", "pressure.high: 85 is not a percentage"),
    ("a share of 1.0", "[pressure]\nhigh = 1.0\nlow = '75%'", "pressure.high: 1.0 is not a percentage"),
    ("a share that is true", "[pressure]\nhigh = true\nlow = '75%'", "pressure.high: True is not a percentage"),
    ("a share of 0", PRESSURE.format("85%", "0%"), "pressure.low: '0%' is not a percentage"),
    ("a share of 0.000", PRESSURE.format("85%", "0.000%"), "pressure.low: '0.000%' is not a percentage"),
    ("a share of 100", PRESSURE.format("100%", "75%"), "pressure.high: '100%' is not a percentage"),
    ("a negative share", PRESSURE.format("85%", "-5%"), "pressure.low: '-5%' is not a percentage"),
    (
        "a window that never opens",
        WINDOW.format("02:00-02:00"),
        "schedule.windows: the 1st entry: '02:00-02:00' is not a window: it",
    ),
    (
        "a window of an unknown day",
        WINDOW.format("Mo 02:00-05:00"),
        "schedule.windows: the 1st entry: 'Mo 02:00-05:00' is not",
    ),
    (
        "a window of an hour that is not",
        WINDOW.format("02:00-25:00"),
        "schedule.windows: the 1st entry: '02:00-25:00' is not",
    ),
    (
        "a window of junk",
        WINDOW.format("at night"),
        "schedule.windows: the 1st entry: 'at night' is not a window; write",
    ),
    ("a window of nothing", WINDOW.format(""), "schedule.windows: the 1st entry: '' is not a window; write"),
    (
        "a window that is a number",
        "[schedule]\nwindows = [5]",
        "schedule.windows: the 1st entry: 5 is not a window; write",
    ),
    (
        "windows that are no list",
        "[schedule]\nwindows = '02:00-05:00'",
        'schedule.windows: must be a list: windows = ["02:00-05:00"]',
    ),
    ("an unknown time zone", "[schedule]\ntimezone = 'Europe/Berlim'", "schedule.timezone: 'Europe/Berlim' is not a"),
    ("a time zone that is a path", "[schedule]\ntimezone = '../../etc/passwd'", "schedule.timezone: '../../etc/pas"),
    ("a time zone that is a folder", "[schedule]\ntimezone = 'Europe'", "schedule.timezone: 'Europe' is not a"),
    *[
        (
            f"exclude {pattern}",
            f"[images]\nexclude = ['a/*', '{pattern}']",
            f"images.exclude: the 2nd entry: '{pattern}' matches every",
        )
        for pattern in ("*", "**", "*:*", "?*", "*?:?*", "[!-]*", "*@*", "*@sha256:*")
    ],
    *[
        (
            f"known {pattern}",
            f"[images]\nknown = ['a/*', '{pattern}']",
            f"images.known: the 2nd entry: '{pattern}' matches every image, so every image would count",
        )
        for pattern in ("*", "**", "*:*", "?*", "*?:?*", "[!-]*", "*@*", "*@sha256:*")
    ],
    (
        "a known name of Docker's",
        "[images]\nknown = ['docker.io/a/b']",
        "images.known: the 1st entry: 'docker.io/a/b' can match no",
    ),
    (
        "a known name in capitals",
        "[images]\nknown = ['Corp/Trainer']",
        "images.known: the 1st entry: 'Corp/Trainer' can match no i",
    ),
    ("a known name of nothing", "[images]\nknown = [' ']", "images.known: the 1st entry: is an empty pattern"),
    *[
        (
            f"ignore_containers {pattern}",
            f"[usage]\nignore_containers = ['trivy', '{pattern}']",
            f"usage.ignore_containers: the 2nd entry: '{pattern}' matches every",
        )
        for pattern in ("*", "**", "?*", "[!-]*", "*:*", "*=*", "?*=*")
    ],
    (
        "a container of no name",
        "[usage]\nignore_containers = ['']",
        "usage.ignore_containers: the 1st entry: is an empty pattern",
    ),
    ("keep_newest that is true", "[policy]\nkeep_newest = true", "policy.keep_newest: true is not a number; write how"),
    ("keep_newest that is false", "[policy]\nkeep_newest = false", "policy.keep_newest: false is not a number"),
    (
        "a negative keep_newest",
        "[policy]\nkeep_newest = -1",
        "policy.keep_newest: must be at least 0 (it is -1)",
    ),
    ("keep_newest in words", "[policy]\nkeep_newest = 'two'", "policy.keep_newest: must be a whole number"),
    ("a broken keep_newest", "[policy]\nkeep_newest = 1.5", "policy.keep_newest: must be a whole number"),
    (
        "a rule's keep_newest that is true",
        "[[policy.rules]]\nmatch='x'\nkeep_newest=true",
        'policy.rules: the 1st rule (match = "x"): keep_newest: t',
    ),
    (
        "a rule's negative keep_newest",
        "[[policy.rules]]\nmatch='x'\nkeep_newest=-1",
        'policy.rules: the 1st rule (match = "x"): keep_newest: must be',
    ),
    (
        "keep_newest of digest references",
        "[[policy.rules]]\nmatch='team/*@sha256:*'\nttl='1d'\nkeep_newest=2",
        'policy.rules: the 1st rule (match = "team/*@sha256:*"): keep_newest: has no effect on digest references',
    ),
    ("dangling_after of 0", "[cleanup]\ndangling_after = '0s'", "cleanup.dangling_after: must be longer than 0"),
    ("dangling_after of a bare 0", "[cleanup]\ndangling_after = 0", "cleanup.dangling_after: must be longer than 0"),
    (
        "dangling_after that is true",
        "[cleanup]\ndangling_after = true",
        "cleanup.dangling_after: True is not a duration",
    ),
    (
        "build_cache_after of 0",
        "[cleanup]\nbuild_cache_after = '0s'",
        "cleanup.build_cache_after: must be longer than 0",
    ),
    ("a grace without a unit", "[policy]\nchange_grace = 1", "policy.change_grace: 1 is not a duration"),
    ("a negative grace", "[policy]\nchange_grace = '-1h'", "policy.change_grace: '-1h' is not a duration"),
    (
        "an unknown key of pressure",
        "[pressure]\nhihg = '85%'",
        "pressure.hihg: is an unknown key; did you mean high?",
    ),
]

IN_THE_ENVIRONMENT = [
    ("TORCHKEEPER_POLICY__TLL", "7d", "policy.tll: is an unknown key"),
    ("TORCHKEEPER_POLCY__TTL", "7d", "TORCHKEEPER_POLCY__TTL: is an unknown key"),
    ("TORCHKEEPER_IMAGES__INCLUDE", "a/*", "written as JSON"),
    ("TORCHKEEPER_MQTT__URL", "tcp://a", "mqtt.url: 'tcp://a' is not mqtt://"),
    ("TORCHKEEPER_MQTT__URL", '["mqtt://a", "tcp://b"]', "mqtt.url: entry 2 of the list: 'tcp://b' is not mqtt://"),
    ("TORCHKEEPER_POLICY__KEEP_NEWEST", "two", "policy.keep_newest: must be a whole number"),
    ("TORCHKEEPER_POLICY__KEEP_NEWEST", "-1", "policy.keep_newest: must be at least 0"),
    ("TORCHKEEPER_PRESSURE__HIGH", "85%", "pressure.low: is missing"),
    ("TORCHKEEPER_PRESSURE__BUDGET", "0GB", "pressure.budget: must be more than 0 bytes"),
    ("TORCHKEEPER_SCHEDULE__TIMEZONE", "Mars", "schedule.timezone: 'Mars' is not a time zone"),
    (
        "TORCHKEEPER_SCHEDULE__WINDOWS",
        '["02:00-02:00"]',
        "schedule.windows: the 1st entry: '02:00-02:00' is not a window",
    ),
    ("TORCHKEEPER_USAGE__IGNORE_CONTAINERS", '["*"]', "usage.ignore_containers: the 1st entry: .* matches every"),
    ("TORCHKEEPER_CLEANUP__DANGLING_AFTER", "0s", "cleanup.dangling_after: must be longer than 0"),
]
