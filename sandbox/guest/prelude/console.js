// The console: one log record a line, text as a reader of Node's console expects it, but compact. Bounded twice: here
// in depth and items of one value, in report.c in bytes of all lines together.
(natives) => {
  const {
    ArrayIsArray, ArrayBufferIsView, Date, Map, Object, ObjectIs, Promise, Set, String, arrayIndexOf, arrayJoin,
    arrayPush, bigintToString, dateGetTime, dateToISOString, getOwnPropertyDescriptor, getPrototypeOf, hasOwn,
    mapDelete, mapForEach, mapGet, mapHas, mapSet, mapSize, numberToFixed, ownKeys, parseInt, regexpFlags,
    regexpSource, setForEach, setSize, stringIncludes, stringIndexOf, stringReplaceAll, stringSlice,
    symbolToString, typedArrayLength, typedArrayTag,
  } = natives.primordials;
  const { classOf, log: writeLine, promiseState, now } = natives;

  const DEPTH_MAX = 5; // deeper is `[Object]`: who needs it logs that part
  const ITEMS_MAX = 100; // of one object; the rest is counted
  const LABELS_MAX = 1000; // of count and time

  const quote = (text) => {
    const mark = !stringIncludes(text, "'") ? "'" : !stringIncludes(text, '"') ? '"' : "`";
    let escaped = stringReplaceAll(text, "\\", "\\\\");
    escaped = stringReplaceAll(stringReplaceAll(escaped, "\n", "\\n"), "\r", "\\r");
    return mark + (mark === "`" ? stringReplaceAll(escaped, "`", "\\`") : escaped) + mark;
  };

  const isPlainName = (name) => {
    if (name === "") return false;
    for (let i = 0; i < name.length; i++) {
      const c = name[i];
      const isLetter = (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || c === "_" || c === "$";
      if (!isLetter && !(i > 0 && c >= "0" && c <= "9")) return false;
    }
    return true;
  };

  // The name of the class an object says it is of, read without running a getter.
  const constructorName = (value) => {
    for (let holder = value, i = 0; holder !== null && i < 32; holder = getPrototypeOf(holder), i++) {
      const field = getOwnPropertyDescriptor(holder, "constructor");
      if (field !== undefined && typeof field.value === "function") {
        const name = getOwnPropertyDescriptor(field.value, "name");
        return name !== undefined && typeof name.value === "string" ? name.value : "";
      }
    }
    return null;
  };

  const inspectError = (error, seen, depth) => {
    const name = error.name, message = error.message, stack = error.stack;
    let text = message ? `${String(name)}: ${String(message)}` : String(name);
    if (typeof stack === "string") {
      const first = stringIndexOf(stack, "(program:");
      if (first >= 0) text += ` at ${stringSlice(stack, first + 9, stringIndexOf(stack, ")", first))}`;
    }
    const fields = members(error, seen, depth, ["name", "message", "stack"]);
    return fields.length ? `${text} { ${arrayJoin(fields, ", ")} }` : text;
  };

  const items = (length, at, seen, depth) => {
    const shown = [];
    for (let i = 0; i < length && i < ITEMS_MAX; i++) arrayPush(shown, inspect(at(i), seen, depth));
    if (length > ITEMS_MAX) arrayPush(shown, `... ${length - ITEMS_MAX} more`);
    return shown;
  };

  const members = (value, seen, depth, hidden) => {
    const shown = [], keys = ownKeys(value);
    let left = 0;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i], field = getOwnPropertyDescriptor(value, key);
      if (field === undefined || !field.enumerable || arrayIndexOf(hidden, key) >= 0) continue;
      if (shown.length >= ITEMS_MAX) {
        left++;
        continue;
      }
      const name = typeof key === "symbol" ? `[${symbolToString(key)}]` : isPlainName(key) ? key : quote(key);
      const text = hasOwn(field, "value") ? inspect(field.value, seen, depth)
        : field.set ? "[Getter/Setter]" : "[Getter]";
      arrayPush(shown, `${name}: ${text}`);
    }
    if (left) arrayPush(shown, `... ${left} more`);
    return shown;
  };

  const list = (prefix, parts) => `${prefix}[${arrayJoin(parts, ", ")}]`;
  const braces = (prefix, parts) => (parts.length ? `${prefix}{ ${arrayJoin(parts, ", ")} }` : `${prefix}{}`);

  const inspectObject = (value, seen, depth) => {
    const kind = classOf(value);
    if (kind === "proxy") return typeof value === "function" ? "[Function]" : natives.describeProxy(value);
    if (typeof value === "function") {
      const name = getOwnPropertyDescriptor(value, "name")?.value;
      return `[Function${typeof name === "string" && name !== "" ? `: ${name}` : " (anonymous)"}]`;
    }
    const name = constructorName(value);
    if (arrayIndexOf(seen, value) >= 0) return "[Circular]";
    if (depth > DEPTH_MAX) return ArrayIsArray(value) ? "[Array]" : `[${name || "Object"}]`;
    arrayPush(seen, value);
    let text;
    if (ArrayIsArray(value)) {
      const prefix = name === "Array" ? "" : `${name}(${value.length}) `;
      text = list(prefix, items(value.length, (i) => value[i], seen, depth + 1));
    } else if (kind === "error") {
      text = inspectError(value, seen, depth + 1);
    } else if (kind === "date") {
      const time = dateGetTime(value);
      text = time === time ? dateToISOString(value) : "Invalid Date";
    } else if (kind === "regexp") {
      text = `/${regexpSource(value)}/${regexpFlags(value)}`;
    } else if (kind === "promise") {
      const { state, result } = promiseState(value);
      text = state === "pending" ? "Promise { <pending> }"
        : `Promise { ${state === "rejected" ? "<rejected> " : ""}${inspect(result, seen, depth + 1)} }`;
    } else if (kind === "map") {
      const shown = [];
      mapForEach(value, (item, key) => {
        if (shown.length >= ITEMS_MAX) return;
        arrayPush(shown, `${inspect(key, seen, depth + 1)} => ${inspect(item, seen, depth + 1)}`);
      });
      if (mapSize(value) > ITEMS_MAX) arrayPush(shown, `... ${mapSize(value) - ITEMS_MAX} more`);
      text = braces(`Map(${mapSize(value)}) `, shown);
    } else if (kind === "set") {
      const shown = [];
      setForEach(value, (item) => {
        if (shown.length < ITEMS_MAX) arrayPush(shown, inspect(item, seen, depth + 1));
      });
      if (setSize(value) > ITEMS_MAX) arrayPush(shown, `... ${setSize(value) - ITEMS_MAX} more`);
      text = braces(`Set(${setSize(value)}) `, shown);
    } else if (ArrayBufferIsView(value) && typedArrayTag(value) !== undefined) {
      const length = typedArrayLength(value);
      text = list(`${typedArrayTag(value)}(${length}) `, items(length, (i) => value[i], seen, depth + 1));
    } else {
      const prefix = name === "Object" ? "" : name === null ? "[Object: null prototype] " : `${name} `;
      text = braces(prefix, members(value, seen, depth + 1, []));
    }
    seen.length--;
    return text;
  };

  const inspect = (value, seen, depth) => {
    switch (typeof value) {
      case "string": return quote(value);
      case "number": return ObjectIs(value, -0) ? "-0" : `${value}`;
      case "bigint": return `${bigintToString(value)}n`;
      case "symbol": return symbolToString(value);
      case "object": if (value !== null) return inspectObject(value, seen, depth);
      // falls through
      default: return typeof value === "function" ? inspectObject(value, seen, depth) : `${value}`;
    }
  };

  const show = (value) => (typeof value === "string" ? value : inspect(value, [], 0));

  const numberText = (value) =>
    typeof value === "bigint" ? inspect(value) : `${typeof value === "object" ? NaN : +value}`;

  // %s %d %i %f %j %o %O %c %% in a first string, as everywhere; the arguments that it does not take follow it.
  const format = (values) => {
    const parts = [];
    let next = 0;
    if (typeof values[0] === "string" && stringIncludes(values[0], "%")) {
      const pattern = values[0];
      let text = "", from = 0;
      next = 1;
      let at = -2;
      while ((at = stringIndexOf(pattern, "%", at + 2)) >= 0 && at + 1 < pattern.length) {
        const kind = pattern[at + 1];
        if (kind !== "%" && (!stringIncludes("sdifjoOc", kind) || next >= values.length)) continue;
        text += stringSlice(pattern, from, at);
        from = at + 2;
        if (kind === "%") text += "%";
        else if (kind === "c") next++;
        else if (kind === "d" || kind === "f") text += numberText(values[next++]);
        else if (kind === "i") text += `${parseInt(values[next++])}`;
        else text += show(values[next++]);
      }
      arrayPush(parts, text + stringSlice(pattern, from));
    }
    for (let i = next; i < values.length; i++) arrayPush(parts, show(values[i]));
    return arrayJoin(parts, " ");
  };

  let indent = "";
  const write = (level, text) => {
    writeLine(level, indent === "" ? text : indent + stringReplaceAll(text, "\n", `\n${indent}`));
  };

  const table = (data) => {
    if (data === null || typeof data !== "object" || classOf(data) === "proxy") return show(data);
    const columns = [], rows = [], index = [];
    const keys = Object.keys(data);
    for (let i = 0; i < keys.length && i < ITEMS_MAX; i++) {
      const row = data[keys[i]], cells = new Map();
      if (row !== null && typeof row === "object") {
        const names = Object.keys(row);
        for (let j = 0; j < names.length; j++) {
          if (arrayIndexOf(columns, names[j]) < 0) arrayPush(columns, names[j]);
          mapSet(cells, names[j], show(row[names[j]]));
        }
      } else {
        if (arrayIndexOf(columns, "value") < 0) arrayPush(columns, "value");
        mapSet(cells, "value", show(row));
      }
      arrayPush(index, keys[i]);
      arrayPush(rows, cells);
    }
    const lines = [];
    const line = (first, cellOf) => {
      let text = first;
      for (let i = 0; i < columns.length; i++) text += ` | ${cellOf(columns[i])}`;
      arrayPush(lines, text);
    };
    line("(index)", (name) => name);
    for (let i = 0; i < rows.length; i++) line(index[i], (name) => mapGet(rows[i], name) ?? "");
    if (keys.length > ITEMS_MAX) arrayPush(lines, `... ${keys.length - ITEMS_MAX} more`);
    return arrayJoin(lines, "\n");
  };

  const counts = new Map(), starts = new Map();
  const remember = (map, label, value) => {
    if (mapHas(map, label) || mapSize(map) < LABELS_MAX) mapSet(map, label, value);
  };
  const elapsed = (label) =>
    `${label}: ${mapHas(starts, label) ? numberToFixed(now() - mapGet(starts, label), 3) : "no such timer"}ms`;

  const methods = {
    log(...values) { write("log", format(values)); },
    info(...values) { write("info", format(values)); },
    warn(...values) { write("warn", format(values)); },
    error(...values) { write("error", format(values)); },
    debug(...values) { write("debug", format(values)); },
    dir(value) { write("log", inspect(value, [], 0)); },
    dirxml(...values) { write("log", format(values)); },
    table(data) { write("log", table(data)); },
    trace(...values) { write("log", `Trace${values.length ? `: ${format(values)}` : ""}`); },
    assert(condition, ...values) {
      if (!condition) write("error", `Assertion failed${values.length ? `: ${format(values)}` : ""}`);
    },
    group(...values) {
      if (values.length) write("log", format(values));
      if (indent.length < 40) indent += "  ";
    },
    groupEnd() { indent = stringSlice(indent, 2); },
    count(label = "default") {
      remember(counts, `${label}`, (mapGet(counts, `${label}`) ?? 0) + 1);
      write("log", `${label}: ${mapGet(counts, `${label}`) ?? "?"}`);
    },
    countReset(label = "default") { mapDelete(counts, `${label}`); },
    time(label = "default") { remember(starts, `${label}`, now()); },
    timeLog(label = "default", ...values) {
      write("log", elapsed(`${label}`) + (values.length ? ` ${format(values)}` : ""));
    },
    timeEnd(label = "default") {
      write("log", elapsed(`${label}`));
      mapDelete(starts, `${label}`);
    },
  };
  methods.groupCollapsed = methods.group;

  const console = {};
  const names = Object.keys(methods);
  for (let i = 0; i < names.length; i++) natives.define(names[i], methods[names[i]], console);
  natives.define("console", console);
};
