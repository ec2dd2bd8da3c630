// URL and URLSearchParams after the WHATWG URL standard, for the URLs that programs build and take apart. Hosts are
// ASCII: a name that needs IDNA is an error, because mapping it wrongly would be worse. No drive letters in file URLs.
(natives) => {
  const {
    MathTrunc, StringFromCharCode, TypeError, apply, arrayJoin, arrayPush, arraySlice, arraySort, arraySplice,
    numberToString, stringCharCodeAt, stringEndsWith, stringIncludes, stringIndexOf, stringLastIndexOf,
    stringReplaceAll, stringSlice, stringSplit, stringStartsWith, stringToLowerCase, stringToUpperCase,
    stringToWellFormed, stringTrim, symbolIterator, typedArrayLength, Uint8Array, ObjectKeys, stringPadStart,
  } = natives.primordials;

  const PORTS = { __proto__: null, "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21",
    "file:": "" };

  // What each part leaves as it is, beside letters, digits and -._~ ; everything else becomes %XX of its UTF-8.
  const KEPT = {
    __proto__: null,
    fragment: "!#$%&'()*+,/:;=?@[\\]^{|}",
    query: "!$%&'()*+,/:;=?@[\\]^`{|}",
    specialQuery: "!$%&()*+,/:;=?@[\\]^`{|}",
    path: "!$%&'()*+,/:;=@[\\]|",
    opaque: " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}",
    userinfo: "!$%&'()*+,",
  };

  const encode = (text, kept) => {
    const bytes = natives.encodeUtf8(stringToWellFormed(text)), length = typedArrayLength(bytes);
    let out = "";
    for (let i = 0; i < length; i++) {
      const c = bytes[i], char = StringFromCharCode(c);
      const isLetter = (c >= 65 && c <= 90) || (c >= 97 && c <= 122);
      const isPlain = isLetter || (c >= 48 && c <= 57) || stringIncludes("-._~", char);
      out += isPlain || (c < 128 && stringIncludes(kept, char)) ? char
        : `%${stringPadStart(stringToUpperCase(numberToString(c, 16)), 2, "0")}`;
    }
    return out;
  };

  const hexValue = (c) =>
    c >= 48 && c <= 57 ? c - 48 : c >= 65 && c <= 70 ? c - 55 : c >= 97 && c <= 102 ? c - 87 : -1;

  const percentDecode = (text) => {
    if (!stringIncludes(text, "%")) return text;
    const bytes = natives.encodeUtf8(stringToWellFormed(text)), length = typedArrayLength(bytes);
    const out = new Uint8Array(length);
    let size = 0;
    for (let i = 0; i < length; i++) {
      const high = bytes[i] === 37 && i + 2 < length ? hexValue(bytes[i + 1]) : -1;
      const low = high >= 0 ? hexValue(bytes[i + 2]) : -1;
      if (low >= 0) {
        out[size++] = high * 16 + low;
        i += 2;
      } else {
        out[size++] = bytes[i];
      }
    }
    const exact = new Uint8Array(size);
    for (let i = 0; i < size; i++) exact[i] = out[i];
    return natives.decode(exact, "utf-8", false)[0];
  };

  const isScheme = (text) => {
    for (let i = 0; i < text.length; i++) {
      const c = stringCharCodeAt(text, i) | 0x20;
      const isLetter = c >= 97 && c <= 122;
      const isOther = (text[i] >= "0" && text[i] <= "9") || text[i] === "+" || text[i] === "-" || text[i] === ".";
      if (!isLetter && (i === 0 || !isOther)) return false;
    }
    return text !== "";
  };

  const isDigits = (text) => {
    for (let i = 0; i < text.length; i++) if (text[i] < "0" || text[i] > "9") return false;
    return text !== "";
  };

  const ipv4Number = (text) => {
    const isHex = stringStartsWith(text, "0x") || stringStartsWith(text, "0X");
    const isOctal = !isHex && text.length > 1 && text[0] === "0";
    const digits = isHex ? stringSlice(text, 2) : text, base = isHex ? 16 : isOctal ? 8 : 10;
    if (digits === "") return isHex ? 0 : NaN;
    let value = 0;
    for (let i = 0; i < digits.length; i++) {
      const digit = hexValue(stringCharCodeAt(digits, i));
      if (digit < 0 || digit >= base) return NaN;
      value = value * base + digit;
    }
    return value;
  };

  // A host that ends in a number is an IPv4 address, in all its spellings, or an error.
  const parseIpv4 = (host) => {
    const parts = stringSplit(stringEndsWith(host, ".") ? stringSlice(host, 0, -1) : host, ".");
    const last = parts[parts.length - 1];
    if (!isDigits(last) && ipv4Number(last) !== ipv4Number(last)) return null;
    if (!isDigits(last) && !stringStartsWith(stringToLowerCase(last), "0x")) return null;
    if (parts.length > 4) throw 0;
    let address = 0;
    for (let i = 0; i < parts.length; i++) {
      const value = ipv4Number(parts[i]);
      const isLast = i === parts.length - 1;
      if (value !== value || value >= (isLast ? 256 ** (5 - parts.length) : 256)) throw 0;
      address += isLast ? value : value * 256 ** (3 - i);
    }
    const byte = (place) => MathTrunc(address / 256 ** place) % 256;
    return `${byte(3)}.${byte(2)}.${byte(1)}.${byte(0)}`;
  };

  const parseIpv6 = (text) => {
    const halves = stringSplit(text, "::");
    if (halves.length > 2) throw 0;
    const words = (half) => {
      if (half === "") return [];
      const out = [], parts = stringSplit(half, ":");
      for (let i = 0; i < parts.length; i++) {
        if (i === parts.length - 1 && stringIncludes(parts[i], ".")) {
          const bytes = stringSplit(parts[i], ".");
          if (bytes.length !== 4) throw 0;
          for (let j = 0; j < 4; j++) if (!isDigits(bytes[j]) || bytes[j] > 255) throw 0;
          arrayPush(out, bytes[0] * 256 + +bytes[1]);
          arrayPush(out, bytes[2] * 256 + +bytes[3]);
          continue;
        }
        if (parts[i] === "" || parts[i].length > 4) throw 0;
        let value = 0;
        for (let j = 0; j < parts[i].length; j++) {
          const digit = hexValue(stringCharCodeAt(parts[i], j));
          if (digit < 0) throw 0;
          value = value * 16 + digit;
        }
        arrayPush(out, value);
      }
      return out;
    };
    const head = words(halves[0]), tail = halves.length > 1 ? words(halves[1]) : [];
    const missing = 8 - head.length - tail.length;
    if (halves.length > 1 ? missing < 1 : missing !== 0) throw 0;
    for (let i = 0; i < missing; i++) arrayPush(head, 0);
    for (let i = 0; i < tail.length; i++) arrayPush(head, tail[i]);
    let best = -1, bestLength = 1;
    for (let i = 0; i < 8; i++) {
      let j = i;
      while (j < 8 && head[j] === 0) j++;
      if (j - i > bestLength) (best = i), (bestLength = j - i);
    }
    let out = "";
    for (let i = 0; i < 8; i++) {
      if (i === best) {
        out += "::";
        i += bestLength - 1;
        continue;
      }
      out += (out !== "" && !stringEndsWith(out, ":") ? ":" : "") + numberToString(head[i], 16);
    }
    return out;
  };

  const parseHost = (text, isSpecial) => {
    if (stringStartsWith(text, "[")) {
      if (!stringEndsWith(text, "]")) throw 0;
      return `[${parseIpv6(stringSlice(text, 1, -1))}]`;
    }
    const host = isSpecial ? stringToLowerCase(percentDecode(text)) : text;
    if (isSpecial && host === "") throw 0;
    for (let i = 0; i < host.length; i++) {
      const c = stringCharCodeAt(host, i);
      if (c <= 32 || c >= 127 || stringIncludes("#/:<>?@[\\]^|", host[i]) || (isSpecial && host[i] === "%")) throw 0;
    }
    return isSpecial ? parseIpv4(host) ?? host : host;
  };

  const isDot = (segment) => segment === "." || stringToLowerCase(segment) === "%2e";
  const isDoubleDot = (segment) => {
    const plain = stringReplaceAll(stringToLowerCase(segment), "%2e", ".");
    return plain === "..";
  };

  const normalizePath = (base, path, isSpecial) => {
    const segments = stringSplit(isSpecial ? stringReplaceAll(path, "\\", "/") : path, "/");
    const out = base;
    for (let i = 0; i < segments.length; i++) {
      const isLast = i === segments.length - 1;
      if (isDoubleDot(segments[i])) {
        if (out.length) out.length--;
        if (isLast) arrayPush(out, "");
      } else if (isDot(segments[i])) {
        if (isLast) arrayPush(out, "");
      } else {
        arrayPush(out, encode(segments[i], KEPT.path));
      }
    }
    return `/${arrayJoin(out, "/")}`;
  };

  const parseAuthority = (record, text, isSpecial) => {
    const at = stringLastIndexOf(text, "@");
    if (at >= 0) {
      const user = stringSlice(text, 0, at), colon = stringIndexOf(user, ":");
      record.username = encode(colon < 0 ? user : stringSlice(user, 0, colon), KEPT.userinfo);
      record.password = colon < 0 ? "" : encode(stringSlice(user, colon + 1), KEPT.userinfo);
      text = stringSlice(text, at + 1);
    }
    setHost(record, text, isSpecial);
  };

  const setHost = (record, text, isSpecial) => {
    const bracket = stringLastIndexOf(text, "]"), colon = stringLastIndexOf(text, ":");
    let host = text, port = "";
    if (colon > bracket) {
      host = stringSlice(text, 0, colon);
      port = stringSlice(text, colon + 1);
      if (port !== "" && (!isDigits(port) || +port > 65535)) throw 0;
      port = port === "" ? "" : `${+port}`;
    }
    record.host = parseHost(host, isSpecial);
    record.port = port === PORTS[record.scheme] ? "" : port;
  };

  const endOfAuthority = (text, isSpecial) => {
    for (let i = 0; i < text.length; i++) if (text[i] === "/" || (isSpecial && text[i] === "\\")) return i;
    return text.length;
  };

  // {scheme, username, password, host, port, path, query, fragment}; host null: no authority. Throws 0 when invalid.
  const parse = (input, base) => {
    let text = "";
    for (let i = 0; i < input.length; i++) if (!stringIncludes("\t\n\r", input[i])) text += input[i];
    text = stringTrim(text);
    let fragment = null, query = null;
    const hash = stringIndexOf(text, "#");
    if (hash >= 0) (fragment = encode(stringSlice(text, hash + 1), KEPT.fragment)), (text = stringSlice(text, 0, hash));
    const colon = stringIndexOf(text, ":");
    const hasScheme = colon > 0 && isScheme(stringSlice(text, 0, colon));
    let scheme = hasScheme ? stringToLowerCase(stringSlice(text, 0, colon + 1)) : null;
    if (scheme !== null) text = stringSlice(text, colon + 1);
    else if (base === null) throw 0;
    // `http:x` with a base of the same scheme is relative, by an old habit of browsers.
    const isBaseScheme = base !== null && scheme === base.scheme && PORTS[scheme] !== undefined;
    const isAbsolute = scheme !== null && !(isBaseScheme && text[0] !== "/" && text[0] !== "\\");
    scheme ??= base.scheme;
    const isSpecial = PORTS[scheme] !== undefined;
    const mark = stringIndexOf(text, "?");
    if (mark >= 0) {
      query = encode(stringSlice(text, mark + 1), isSpecial ? KEPT.specialQuery : KEPT.query);
      text = stringSlice(text, 0, mark);
    }
    const record = {
      __proto__: null, scheme, username: "", password: "", host: null, port: "", path: "", query, fragment,
    };
    const slash = (i) => text[i] === "/" || (isSpecial && text[i] === "\\");
    if (isSpecial && isAbsolute && scheme !== "file:") {
      let i = 0;
      while (slash(i)) i++;
      text = stringSlice(text, i);
      const end = endOfAuthority(text, true);
      parseAuthority(record, stringSlice(text, 0, end), true);
      record.path = normalizePath([], stringSlice(text, end + 1), true);
    } else if (slash(0) && slash(1)) {
      text = stringSlice(text, 2);
      const end = endOfAuthority(text, isSpecial), authority = stringSlice(text, 0, end);
      if (scheme === "file:") record.host = authority === "" ? "" : parseHost(authority, true);
      else if (authority === "" && !isSpecial) record.host = "";
      else parseAuthority(record, authority, isSpecial);
      record.path = end < text.length || isSpecial ? normalizePath([], stringSlice(text, end + 1), isSpecial) : "";
    } else if (isAbsolute && !isSpecial) {
      record.path = slash(0) ? normalizePath([], stringSlice(text, 1), false) : encode(text, KEPT.opaque);
    } else if (isAbsolute) {
      record.host = "";
      record.path = normalizePath([], slash(0) ? stringSlice(text, 1) : text, true);
    } else {
      if (base.host === null && !stringStartsWith(base.path, "/") && !(text === "" && mark < 0)) throw 0;
      record.username = base.username;
      record.password = base.password;
      record.host = base.host;
      record.port = base.port;
      if (text === "") {
        record.path = base.path;
        if (mark < 0) record.query = base.query;
      } else if (slash(0)) {
        record.path = normalizePath([], stringSlice(text, 1), isSpecial);
      } else {
        const segments = stringSplit(base.path, "/");
        record.path = normalizePath(arraySlice(segments, 1, -1), text, isSpecial);
      }
    }
    return record;
  };

  const serialize = (record) => {
    let text = record.scheme;
    if (record.host !== null) {
      text += "//";
      if (record.username || record.password) text += `${record.username}${record.password && `:${record.password}`}@`;
      text += record.host + (record.port && `:${record.port}`);
    } else if (stringStartsWith(record.path, "//")) {
      text += "/.";
    }
    text += record.path;
    if (record.query !== null) text += `?${record.query}`;
    return record.fragment === null ? text : `${text}#${record.fragment}`;
  };

  // ---- URLSearchParams ----

  const encodeForm = (text) => stringReplaceAll(stringReplaceAll(encode(text, "* "), "~", "%7E"), " ", "+");
  const decodeForm = (text) => percentDecode(stringReplaceAll(text, "+", " "));

  const parseForm = (text) => {
    const pairs = [], fields = stringSplit(text, "&");
    for (let i = 0; i < fields.length; i++) {
      if (fields[i] === "") continue;
      const equals = stringIndexOf(fields[i], "=");
      arrayPush(pairs, equals < 0 ? [decodeForm(fields[i]), ""]
        : [decodeForm(stringSlice(fields[i], 0, equals)), decodeForm(stringSlice(fields[i], equals + 1))]);
    }
    return pairs;
  };

  const serializeForm = (pairs) => {
    const fields = [];
    for (let i = 0; i < pairs.length; i++) arrayPush(fields, `${encodeForm(pairs[i][0])}=${encodeForm(pairs[i][1])}`);
    return arrayJoin(fields, "&");
  };

  let attach, refresh;
  class URLSearchParams {
    #pairs = [];
    #changed = null;

    constructor(init = "") {
      if (typeof init === "object" && init !== null && init[symbolIterator] != null) {
        for (const pair of init) {
          const both = [...pair];
          if (both.length !== 2) throw new TypeError("each pair has a name and a value");
          arrayPush(this.#pairs, [`${both[0]}`, `${both[1]}`]);
        }
      } else if (typeof init === "object" && init !== null) {
        const keys = ObjectKeys(init);
        for (let i = 0; i < keys.length; i++) arrayPush(this.#pairs, [keys[i], `${init[keys[i]]}`]);
      } else {
        const text = `${init}`;
        this.#pairs = parseForm(stringStartsWith(text, "?") ? stringSlice(text, 1) : text);
      }
    }
    static {
      attach = (params, changed) => { params.#changed = changed; };
      refresh = (params, query) => { params.#pairs = parseForm(query ?? ""); };
    }
    #touch() { if (this.#changed !== null) this.#changed(serializeForm(this.#pairs)); }
    get size() { return this.#pairs.length; }
    append(name, value) {
      arrayPush(this.#pairs, [`${name}`, `${value}`]);
      this.#touch();
    }
    delete(name, value = undefined) {
      for (let i = this.#pairs.length - 1; i >= 0; i--) {
        const key = this.#pairs[i][0], held = this.#pairs[i][1];
        if (key === `${name}` && (value === undefined || held === `${value}`)) arraySplice(this.#pairs, i, 1);
      }
      this.#touch();
    }
    get(name) {
      for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i][0] === `${name}`) return this.#pairs[i][1];
      return null;
    }
    getAll(name) {
      const values = [];
      for (let i = 0; i < this.#pairs.length; i++) {
        if (this.#pairs[i][0] === `${name}`) arrayPush(values, this.#pairs[i][1]);
      }
      return values;
    }
    has(name, value = undefined) {
      for (let i = 0; i < this.#pairs.length; i++) {
        if (this.#pairs[i][0] === `${name}` && (value === undefined || this.#pairs[i][1] === `${value}`)) return true;
      }
      return false;
    }
    set(name, value) {
      let isSet = false;
      for (let i = 0; i < this.#pairs.length; i++) {
        if (this.#pairs[i][0] !== `${name}`) continue;
        if (isSet) arraySplice(this.#pairs, i--, 1);
        else this.#pairs[i][1] = `${value}`;
        isSet = true;
      }
      if (!isSet) arrayPush(this.#pairs, [`${name}`, `${value}`]);
      this.#touch();
    }
    sort() {
      arraySort(this.#pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#touch();
    }
    forEach(callback, self = undefined) {
      for (let i = 0; i < this.#pairs.length; i++) apply(callback, self, [this.#pairs[i][1], this.#pairs[i][0], this]);
    }
    *entries() { for (let i = 0; i < this.#pairs.length; i++) yield [this.#pairs[i][0], this.#pairs[i][1]]; }
    *keys() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][0]; }
    *values() { for (let i = 0; i < this.#pairs.length; i++) yield this.#pairs[i][1]; }
    toString() { return serializeForm(this.#pairs); }
  }
  natives.define(symbolIterator, URLSearchParams.prototype.entries, URLSearchParams.prototype);

  // ---- URL ----

  class URL {
    #record;
    #params = null;

    constructor(url, base = undefined) {
      try {
        this.#record = parse(`${url}`, base === undefined ? null : parse(`${base}`, null));
      } catch (error) {
        if (error !== 0) throw error;
        throw new TypeError(`Invalid URL: ${url}${base === undefined ? "" : ` with base ${base}`}`);
      }
    }
    static canParse(url, base = undefined) { return URL.parse(url, base) !== null; }
    static parse(url, base = undefined) {
      try { return new URL(url, base); } catch { return null; }
    }
    #try(change) { // an invalid part leaves the URL as it was
      const before = { __proto__: null, ...this.#record };
      try { change(this.#record); } catch (error) {
        this.#record = before;
        if (error !== 0) throw error;
      }
    }
    get #isSpecial() { return PORTS[this.#record.scheme] !== undefined; }
    get href() { return serialize(this.#record); }
    set href(value) {
      this.#record = new URL(value).#record;
      if (this.#params !== null) refresh(this.#params, this.#record.query);
    }
    get origin() {
      return this.#isSpecial && this.#record.scheme !== "file:" ? `${this.#record.scheme}//${this.host}` : "null";
    }
    get protocol() { return this.#record.scheme; }
    set protocol(value) {
      const colon = stringIndexOf(`${value}:`, ":"), name = stringSlice(`${value}`, 0, colon);
      const scheme = `${stringToLowerCase(name)}:`;
      if (!isScheme(name) || (PORTS[scheme] !== undefined) !== this.#isSpecial) return;
      this.#record.scheme = scheme;
      if (this.#record.port === PORTS[scheme]) this.#record.port = "";
    }
    get username() { return this.#record.username; }
    set username(value) { if (this.#record.host) this.#record.username = encode(`${value}`, KEPT.userinfo); }
    get password() { return this.#record.password; }
    set password(value) { if (this.#record.host) this.#record.password = encode(`${value}`, KEPT.userinfo); }
    get host() { return (this.#record.host ?? "") + (this.#record.port && `:${this.#record.port}`); }
    set host(value) {
      if (this.#record.host !== null) this.#try((record) => setHost(record, `${value}`, this.#isSpecial));
    }
    get hostname() { return this.#record.host ?? ""; }
    set hostname(value) {
      if (this.#record.host !== null) this.#try((record) => { record.host = parseHost(`${value}`, this.#isSpecial); });
    }
    get port() { return this.#record.port; }
    set port(value) {
      const text = `${value}`;
      if (text !== "" && (!isDigits(text) || +text > 65535)) return;
      const isDefault = text === "" || `${+text}` === PORTS[this.#record.scheme];
      this.#record.port = isDefault ? "" : `${+text}`;
    }
    get pathname() { return this.#record.path; }
    set pathname(value) {
      const text = `${value}`;
      if (this.#record.host === null && !stringStartsWith(this.#record.path, "/")) return;
      const isRooted = text[0] === "/" || (this.#isSpecial && text[0] === "\\");
      const kept = stringReplaceAll(stringReplaceAll(isRooted ? stringSlice(text, 1) : text, "?", "%3F"), "#", "%23");
      this.#record.path = normalizePath([], kept, this.#isSpecial);
    }
    get search() { return this.#record.query ? `?${this.#record.query}` : ""; }
    set search(value) {
      const text = `${value}`, query = stringStartsWith(text, "?") ? stringSlice(text, 1) : text;
      this.#record.query = query === "" ? null : encode(query, this.#isSpecial ? KEPT.specialQuery : KEPT.query);
      if (this.#params !== null) refresh(this.#params, this.#record.query);
    }
    get hash() { return this.#record.fragment ? `#${this.#record.fragment}` : ""; }
    set hash(value) {
      const text = `${value}`, fragment = stringStartsWith(text, "#") ? stringSlice(text, 1) : text;
      this.#record.fragment = fragment === "" ? null : encode(fragment, KEPT.fragment);
    }
    get searchParams() {
      if (this.#params === null) {
        this.#params = new URLSearchParams(this.#record.query ?? "");
        attach(this.#params, (query) => { this.#record.query = query === "" ? null : query; });
      }
      return this.#params;
    }
    toString() { return this.href; }
    toJSON() { return this.href; }
  }

  natives.define("URL", URL);
  natives.define("URLSearchParams", URLSearchParams);
};
