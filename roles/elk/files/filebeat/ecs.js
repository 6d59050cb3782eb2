// Gives a line's fields their ECS names. Filebeat runs this for every line, as ECMAScript 5.1.
//
// The input is `message`, a line of a container or of a host's journal, and `json`, which Filebeat has decoded if the
// line begins like a JSON object. `json` may contain anything. Each field is only used if the ECS field accepts its
// value, and otherwise stays in `json`. So Elasticsearch never rejects a line because of its content.

var LONGEST = 2048; // characters of a keyword
var DEEPEST = 10; // levels of `json`
var MOST = 256; // keys of `json`, on all levels together

var POD = /\/([^\/_]+)_([^\/_]+)_([^\/_]+)\/([^\/]+)\/(\d+)\.log[^\/]*$/;
var KLOG = /^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +(\d+) ([^\s:\]]+):(\d+)\] ([\s\S]*)$/;
var LOGFMT = /(?:^|\s)(?:level|lvl)="?([A-Za-z]+)"?(?:\s|$)/;
// With an optional date before it, and optional brackets around it.
var WRITTEN = /^(?:[\d\-T:.,Z+\/ ]{8,40})?[\[(]?(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|PANIC)[\])]?(?:[\s:\[\-]|$)/;
var TRACEBACK = /^Traceback \(most recent call last\):/m;
var JAVA = /^\s+at [\w$.<>\/@]+\(/m;
var IP = /^(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/;

var LEVELS = {
    trace: "trace", debug: "debug",
    info: "info", information: "info", notice: "info",
    warn: "warning", warning: "warning",
    err: "error", error: "error",
    fatal: "critical", critical: "critical", crit: "critical", panic: "critical", alert: "critical", emerg: "critical"
};
var KLOG_LEVELS = { I: "info", W: "warning", E: "error", F: "critical" };
var SYSLOG_LEVELS = ["critical", "critical", "critical", "error", "warning", "info", "info", "debug"];

// Returns a function that caches its results by text, because lines repeat.
var REMEMBERED = 500;
function remembering(find) {
    var found = {};
    var left = REMEMBERED;
    return function (text) {
        // With this prefix, no key is a property that every object has.
        var name = "=" + text;
        if (!has(found, name)) {
            if (left === 0) { found = {}; left = REMEMBERED; }
            left--;
            found[name] = find(text);
        }
        return found[name];
    };
}

// ---- The browser family of a request. The rules are those of app/src/homeserver_app/browsers.py; one table tests
// both.
var FAMILIES = ["bot", "edge", "firefox", "chrome", "safari", "other"];
var family = remembering(function (userAgent) {
    // Characters other than ASCII do not belong to a word. A Cubot is a phone. Its name is removed first, because there
    // is no lookbehind.
    var said = userAgent.replace(/[^\x00-\x7f]/g, " ").toLowerCase();
    if (!/^(?:mozilla\/|opera\/|$)/.test(said)) { return "bot"; }
    said = said.replace(/\bcubot/g, " ");
    if (/bot|crawl|spider|headless|lighthouse/.test(said)) { return "bot"; }
    if (/\bedg(?:e|a|ios)?\//.test(said)) { return "edge"; }
    if (/\b(?:firefox|fxios)\//.test(said)) { return "firefox"; }
    if (/\b(?:chrome|crios)\//.test(said)) { return "chrome"; }
    if (/\bsafari\//.test(said)) { return "safari"; }
    return "other";
});

// Works for any field name.
function has(object, name) {
    return Object.prototype.hasOwnProperty.call(object, name);
}

// ---- Each function returns the value to keep in a field, or undefined.
function keyword(value) {
    return typeof value === "string" && value !== "" && value !== "-" ? value.slice(0, LONGEST) : undefined;
}
function text(value) {
    return typeof value === "string" && value !== "" ? value : undefined;
}
function whole(value) {
    return typeof value === "number" && isFinite(value) && Math.floor(value) === value
        && Math.abs(value) < 9e15 ? value : undefined;
}
function status(value) {
    return whole(value) >= 100 && value < 1000 ? value : undefined;
}
function milliseconds(value) {
    return typeof value === "number" && value >= 0 && value < 9e9 ? Math.round(value * 1e6) : undefined;
}
function address(value) {
    if (typeof value !== "string" || !IP.test(value)) { return undefined; }
    var parts = value.indexOf(":") < 0 ? value.split(".") : [];
    for (var i = 0; i < parts.length; i++) {
        if (Number(parts[i]) > 255 || (parts[i].length > 1 && parts[i].charAt(0) === "0")) { return undefined; }
    }
    return parts.length || isIPv6(value) ? value : undefined;
}
function isIPv6(value) {
    var halves = value.split("::");
    if (halves.length > 2) { return false; }
    var groups = 0;
    for (var h = 0; h < halves.length; h++) {
        if (halves[h] === "") { continue; }
        var parts = halves[h].split(":");
        for (var i = 0; i < parts.length; i++) {
            if (!/^[0-9a-fA-F]{1,4}$/.test(parts[i])) { return false; }
            groups++;
        }
    }
    return halves.length === 2 ? groups < 8 : groups === 8;
}
function level(value) {
    return typeof value === "string" && has(LEVELS, value.toLowerCase()) ? LEVELS[value.toLowerCase()] : undefined;
}
function trace(value) {
    return typeof value === "string" && /^[0-9a-f]{32}$/.test(value) && !/^0+$/.test(value) ? value : undefined;
}
function span(value) {
    return typeof value === "string" && /^[0-9a-f]{16}$/.test(value) && !/^0+$/.test(value) ? value : undefined;
}
function browser(value) {
    return FAMILIES.indexOf(value) >= 0 ? value : undefined;
}

// ---- From the names in JSON to those of ECS. If several map to one field, the first valid one wins.
var EVERYBODY = [
    ["level", "log.level", level], ["severity", "log.level", level], ["lvl", "log.level", level],
    ["log.level", "log.level", level], ["log.logger", "log.logger", keyword], ["logger", "log.logger", keyword], ["caller", "log.origin.file.name", keyword],
    ["trace_id", "trace.id", trace], ["traceId", "trace.id", trace], ["span_id", "span.id", span],
    ["stack", "error.stack_trace", text], ["stacktrace", "error.stack_trace", text],
    ["stack_trace", "error.stack_trace", text], ["exc_info", "error.stack_trace", text],
    ["error", "error.message", text], ["err", "error.message", text],
    ["service", "service.name", keyword],
    ["request_id", "http.request.id", keyword], ["method", "http.request.method", keyword],
    ["route", "http.route", keyword], ["path", "url.path", keyword],
    ["status", "http.response.status_code", status], ["duration_ms", "event.duration", milliseconds],
    ["user_agent", "user_agent.original", keyword], ["browser", "labels.browser", browser],
    ["client_address", "client.ip", address]
];
var ACCESS = [
    ["level", "log.level", level], ["trace_id", "trace.id", trace], ["span_id", "span.id", span],
    ["RequestMethod", "http.request.method", keyword], ["RequestPath", "url.path", keyword],
    ["RequestHost", "url.domain", keyword], ["RequestScheme", "url.scheme", keyword],
    ["RequestProtocol", "http.version", keyword], ["DownstreamStatus", "http.response.status_code", status],
    ["DownstreamContentSize", "http.response.body.bytes", whole], ["RequestContentSize", "http.request.body.bytes", whole],
    ["Duration", "event.duration", whole], ["ClientHost", "client.ip", address], ["ClientUsername", "user.name", keyword],
    ["request_User-Agent", "user_agent.original", keyword], ["request_X-Request-Id", "http.request.id", keyword],
    ["origin_X-Request-Id", "http.request.id", keyword], ["OriginDuration", "traefik.origin.duration", whole],
    ["RouterName", "traefik.router", keyword], ["ServiceName", "traefik.service", keyword],
    ["entryPointName", "traefik.entry_point", keyword]
];
var MESSAGES = ["message", "msg", "MESSAGE"];
// Fields that a program logs about its own pod and that Kubernetes provides as well.
var KNOWN = [["pod", "kubernetes.pod.name"], ["namespace", "kubernetes.namespace"], ["node", "kubernetes.node.name"]];

function take(event, json, names) {
    for (var i = 0; i < names.length; i++) {
        var name = names[i][0];
        // None of these is a property that every object has.
        if (json[name] === undefined || event.Get(names[i][1]) !== null) { continue; }
        var value = names[i][2](json[name]);
        if (value !== undefined) {
            event.Put(names[i][1], value);
            delete json[name];
        }
    }
}

// Returns whether Elasticsearch would accept the value as one field.
function fits(value, left) {
    var todo = [[value, 1]];
    while (todo.length) {
        var next = todo.pop();
        if (next[1] > DEEPEST) { return false; }
        var keys = Object.keys(next[0]);
        left -= keys.length;
        if (left < 0) { return false; }
        for (var i = 0; i < keys.length; i++) {
            if (keys[i] === "" || keys[i].length > LONGEST || keys[i].indexOf("\u0000") >= 0) { return false; }
            var inner = next[0][keys[i]];
            if (inner !== null && typeof inner === "object") { todo.push([inner, next[1] + 1]); }
        }
    }
    return true;
}

function structured(event, json, line) {
    var access = has(json, "DownstreamStatus") && has(json, "RequestMethod")
        && event.Get("event.dataset") === "traefik";
    var said;
    for (var i = 0; i < MESSAGES.length && said === undefined; i++) {
        if (has(json, MESSAGES[i])) {
            said = text(json[MESSAGES[i]]);
            if (said !== undefined) { delete json[MESSAGES[i]]; }
        }
    }
    if (access) {
        said = [json.RequestMethod, String(json.RequestHost) + json.RequestPath, json.DownstreamStatus].join(" ");
        // Values that are unique to each line and that nobody searches take more disk space than the rest. The time is
        // that of the line itself, and the request id of an app is only needed for failed requests.
        if (json.DownstreamStatus < 400) { delete json["origin_X-Request-Id"]; }
        if (json.ClientUsername === "-") { delete json.ClientUsername; }
        delete json.time;
        delete json.msg;
        delete json["downstream_X-Request-Id"];
    }
    take(event, json, access ? ACCESS : EVERYBODY);
    for (var k = 0; k < KNOWN.length; k++) {
        if (json[KNOWN[k][0]] !== undefined && json[KNOWN[k][0]] === event.Get(KNOWN[k][1])) { delete json[KNOWN[k][0]]; }
    }
    var agent = event.Get("user_agent.original");
    if (agent !== null && event.Get("labels.browser") === null) { event.Put("labels.browser", family(agent)); }
    if (Object.keys(json).length === 0) {
        event.Delete("json");
    } else if (!fits(json, MOST)) {
        event.Delete("json");
        event.Tag("too_complex");
        said = line;
    }
    // Without a message, the whole line is the message.
    event.Put("message", said === undefined ? line : said);
}

function unstructured(event, line) {
    var klog = KLOG.exec(line);
    if (klog) {
        event.Put("log.level", KLOG_LEVELS[klog[1]]);
        event.Put("log.origin.file.name", klog[3]);
        event.Put("log.origin.file.line", Number(klog[4]));
        event.Put("message", klog[5]);
        line = klog[5];
    } else {
        var found = WRITTEN.exec(line.slice(0, 200)) || LOGFMT.exec(line.slice(0, 500));
        var known = found && level(found[1]);
        if (known && event.Get("log.level") === null) { event.Put("log.level", known); }
    }
    stack(event, line);
}

// If a line has a stack trace, `message` is the error, and the trace has its own field.
function stack(event, said) {
    if (said.indexOf("\n") < 0 || !(TRACEBACK.test(said) || JAVA.test(said))) { return; }
    var lines = said.split("\n");
    var what = TRACEBACK.test(lines[0]) ? lines[lines.length - 1] : lines[0];
    event.Put("error.stack_trace", said);
    event.Put("message", what);
    if (event.Get("log.level") === null) { event.Put("log.level", "error"); }
}

function line(event, said) {
    // Checked first, because the expression tries to match at every space of a line.
    if (/\s/.test(said.slice(-1))) { said = said.replace(/\s+$/, ""); }
    var json = event.Get("json");
    if (json !== null) { return structured(event, json, said); }
    if (!/^\s*\{/.test(said)) {
        event.Put("message", said);
        return unstructured(event, said);
    }
    // A program that logs JSON has crashed, and its stack trace follows a JSON line.
    var end = said.indexOf("\n");
    if (end > 0 && (TRACEBACK.test(said) || JAVA.test(said))) {
        try {
            event.Put("json", JSON.parse(said.slice(0, end)));
            structured(event, event.Get("json"), said.slice(0, end));
            if (event.Get("error.stack_trace") === null) { event.Put("error.stack_trace", said.slice(end + 1)); }
            return undefined;
        } catch (error) {
            event.Delete("json");
        }
    }
    event.Put("message", said);
    event.Tag("parse_failed");
    return undefined;
}

// ---- The source of a line.
function pod(event, found) {
    event.Put("kubernetes.namespace", found[1]);
    event.Put("kubernetes.pod.name", found[2]);
    event.Put("kubernetes.pod.uid", found[3]);
    event.Put("kubernetes.container.name", found[4]);
    event.Put("kubernetes.node.name", NODE);
    // A renamed file still belongs to the same container, so this identifies its lines instead of the path.
    event.Put("@metadata.source", [found[3], found[4], found[5]].join("/"));
    var own = DATASETS[found[1]];
    event.Put("event.dataset", own || "app");
    var hints = event.Get("kubernetes.annotations") || {};
    event.Delete("kubernetes.annotations");
    var said = event.Get("message");
    if (!wanted(hints, said)) { return event.Cancel(); }
    line(event, said);
    if (isProbe(event)) { return event.Cancel(); }
    if (event.Get("service.name") === null) {
        var labels = event.Get("kubernetes.labels") || {};
        event.Put("service.name", labels["app_kubernetes_io/name"] || labels.app || found[4]);
    }
    return undefined;
}

// Successful requests of probes. Anybody can send these names, so only requests from a pod or from this host count as
// probes. Traefik's lines about requests from outside are always kept.
var PROBES = /^(?:kube-probe|Blackbox Exporter)\//;
function isProbe(event) {
    var agent = event.Get("user_agent.original");
    var code = event.Get("http.response.status_code");
    return event.Get("event.dataset") !== "traefik" && agent !== null && PROBES.test(agent)
        && code !== null && code < 400 && isInside(event.Get("client.ip"));
}
function isInside(client) {
    return client !== null && (client === ADDRESS || client.indexOf(PODS) === 0);
}

// The annotations of a pod. Filebeat has replaced the dots in their names.
function wanted(hints, said) {
    if (hints["co_elastic_logs/enabled"] === "false") { return false; }
    var only = hints["co_elastic_logs/include_lines"];
    var never = hints["co_elastic_logs/exclude_lines"];
    return !(only && matches(only, said) === false) && !(never && matches(never, said) === true);
}
var expression = remembering(function (pattern) {
    // An invalid regular expression excludes nothing.
    try { return new RegExp(pattern); } catch (error) { return null; }
});
function matches(pattern, said) {
    var compiled = expression(pattern);
    return compiled && compiled.test(said);
}

function journal(event) {
    var json = event.Get("json");
    event.Put("event.dataset", "host");
    if (json === null) { return event.Tag("parse_failed"); }
    var said = json.MESSAGE;
    var unit = keyword(json._SYSTEMD_UNIT) || keyword(json.UNIT);
    var name = keyword(json.SYSLOG_IDENTIFIER) || keyword(json._COMM);
    event.Put("@metadata.source", String(json.__CURSOR));
    var when = Number(json.__REALTIME_TIMESTAMP);
    if (when > 0) { event.Put("@timestamp", new Date(when / 1000)); }
    if (unit) { event.Put("systemd.unit", unit); }
    if (name) { event.Put("service.name", name); }
    if (/^[1-9]\d{0,9}$/.test(json._PID)) { event.Put("process.pid", Number(json._PID)); }
    if (/^[0-7]$/.test(json.PRIORITY)) { event.Put("log.level", SYSLOG_LEVELS[Number(json.PRIORITY)]); }
    // MicroK8s runs Kubernetes itself as services of the host.
    if (unit && unit.indexOf("snap.microk8s.") === 0) { event.Put("event.dataset", "kubernetes"); }
    // If a message contains bytes that are not text, journald provides all its bytes as numbers.
    if (said !== null && typeof said === "object" && said.length > 0 && typeof said[0] === "number") {
        said = bytes(said);
    }
    event.Delete("json");
    if (typeof said !== "string") { said = ""; }
    event.Put("message", said);
    // The level in the message is more accurate than the priority, which is mostly "info".
    var klog = KLOG.test(said);
    if (klog) { event.Delete("log.level"); }
    unstructured(event, said);
    return undefined;
}

function bytes(numbers) {
    var escaped = "";
    for (var i = 0; i < numbers.length && i < 65536; i++) {
        escaped += "%" + (numbers[i] < 16 ? "0" : "") + numbers[i].toString(16);
    }
    try {
        return decodeURIComponent(escaped);
    } catch (error) {
        return escaped.replace(/%([0-7][0-9a-f])/g, function (_, hex) { return String.fromCharCode(parseInt(hex, 16)); })
            .replace(/%[89a-f][0-9a-f]/g, "\ufffd");
    }
}

var NODE = "";
var ADDRESS = "";
var PODS = "";
var DATASETS = {};
function register(params) {
    NODE = params.node;
    ADDRESS = params.address;
    PODS = params.pods;
    // The keys have no order. Each is a namespace.
    DATASETS = params.datasets;
}

var container = remembering(function (path) { return POD.exec(path); });
function process(event) {
    event.Put("host.name", NODE);
    var found = container(event.Get("log.file.path"));
    if (found) { pod(event, found); } else { journal(event); }
}
