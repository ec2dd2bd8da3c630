// URLSearchParams after the WHATWG URL standard: a list of pairs, and its text as a form sends it.
(natives) => {
  const {
    ObjectKeys, TypeError, apply, arrayJoin, arrayPush, arraySort, arraySplice, stringIndexOf, stringReplaceAll,
    stringSlice, stringSplit, stringStartsWith, symbolIterator,
  } = natives.primordials;
  const { encode, decode: percentDecode } = natives.percent;

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

  // For the params of a URL: `attach` has each change told to the URL as text, `refresh` takes the URL's new query.
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
  natives.define("URLSearchParams", URLSearchParams);
  natives.searchParams = { __proto__: null, URLSearchParams, attach, refresh };
};
