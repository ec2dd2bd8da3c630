// URL after the WHATWG URL standard: the properties of one record (url_record.js), and its query as URLSearchParams.
(natives) => {
  const {
    TypeError, stringIndexOf, stringReplaceAll, stringSlice, stringStartsWith, stringToLowerCase,
  } = natives.primordials;
  const { encode } = natives.percent;
  const { KEPT, PORTS, isDigits, isScheme, normalizePath, parse, parseHost, serialize, setHost } = natives.urlRecord;
  const { URLSearchParams, attach, refresh } = natives.searchParams;

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
};
