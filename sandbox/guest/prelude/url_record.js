// The record of a URL, parsed and serialised after the WHATWG URL standard, for the URLs that programs build and take
// apart. Hosts are ASCII: a name that needs IDNA is an error, because mapping it wrongly would be worse. File URLs know
// no drive letters.
//
// A record is {scheme, username, password, host, port, path, query, fragment}, all text and the scheme with its colon;
// host (no authority), query and fragment are null where there is none. What is invalid throws 0: the caller knows what
// to say.
(natives) => {
  const {
    MathTrunc, arrayJoin, arrayPush, arraySlice, numberToString, stringCharCodeAt, stringEndsWith, stringIncludes,
    stringIndexOf, stringLastIndexOf, stringReplaceAll, stringSlice, stringSplit, stringStartsWith, stringToLowerCase,
    stringTrim,
  } = natives.primordials;
  const { encode, decode: percentDecode, hexValue } = natives.percent;

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

  // The record of a text, relative to a record or, without one (null), absolute.
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

  natives.urlRecord = {
    __proto__: null, KEPT, PORTS, isDigits, isScheme, normalizePath, parse, parseHost, serialize, setHost,
  };
};
