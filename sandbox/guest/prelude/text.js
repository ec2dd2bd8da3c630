// TextEncoder and TextDecoder; the loops are in text.c. atob and btoa are QuickJS's own.
(natives) => {
  const {
    ArrayBufferIsView, RangeError, Uint8Array, arrayBufferLength, stringCharCodeAt, stringSlice,
    stringToLowerCase, stringToWellFormed, stringTrim, typedArrayBuffer, typedArrayByteLength,
    typedArrayByteOffset, typedArrayTag, dataViewBuffer, dataViewByteLength, dataViewByteOffset,
  } = natives.primordials;

  // Labels of the Encoding standard for what is here; "latin1" is windows-1252 there, and is taken for what it says.
  const ENCODINGS = {
    __proto__: null,
    "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8",
    "utf-16le": "utf-16le", "utf-16": "utf-16le", utf16le: "utf-16le", "ucs-2": "utf-16le",
    latin1: "latin1", "iso-8859-1": "latin1", ascii: "latin1", "us-ascii": "latin1", "windows-1252": "latin1",
  };

  const bytesOf = (input) => {
    if (ArrayBufferIsView(input)) {
      return typedArrayTag(input) === undefined
        ? new Uint8Array(dataViewBuffer(input), dataViewByteOffset(input), dataViewByteLength(input))
        : new Uint8Array(typedArrayBuffer(input), typedArrayByteOffset(input), typedArrayByteLength(input));
    }
    arrayBufferLength(input); // throws a TypeError for anything else
    return new Uint8Array(input);
  };

  class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return natives.encodeUtf8(stringToWellFormed(`${text}`)); }
    encodeInto(text, target) {
      let read = 0, written = 0;
      const source = stringToWellFormed(`${text}`);
      while (read < source.length) {
        const unit = stringCharCodeAt(source, read), width = unit >= 0xd800 && unit < 0xdc00 ? 2 : 1;
        const bytes = natives.encodeUtf8(stringSlice(source, read, read + width));
        const length = typedArrayByteLength(bytes);
        if (written + length > typedArrayByteLength(target)) break;
        for (let i = 0; i < length; i++) target[written++] = bytes[i];
        read += width;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #encoding; #isFatal; #keepsMark; #rest = null; #isStart = true;

    constructor(label = "utf-8", options = undefined) {
      this.#encoding = ENCODINGS[stringToLowerCase(stringTrim(`${label}`))];
      if (this.#encoding === undefined) throw new RangeError(`no such encoding: ${label} (utf-8, utf-16le, latin1)`);
      this.#isFatal = !!options?.fatal;
      this.#keepsMark = !!options?.ignoreBOM;
    }

    get encoding() { return this.#encoding; }
    get fatal() { return this.#isFatal; }
    get ignoreBOM() { return this.#keepsMark; }

    decode(input = undefined, options = undefined) {
      const isStream = !!options?.stream;
      let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input);
      if (this.#rest !== null) {
        const before = this.#rest, length = typedArrayByteLength(before), more = typedArrayByteLength(bytes);
        const joined = new Uint8Array(length + more);
        for (let i = 0; i < length; i++) joined[i] = before[i];
        for (let i = 0; i < more; i++) joined[length + i] = bytes[i];
        bytes = joined;
        this.#rest = null;
      }
      let result = natives.decode(bytes, this.#encoding, this.#isFatal && !isStream);
      if (isStream && result[1] > 0) {
        const whole = typedArrayByteLength(bytes) - result[1];
        this.#rest = new Uint8Array(result[1]);
        for (let i = 0; i < result[1]; i++) this.#rest[i] = bytes[whole + i];
        const head = new Uint8Array(whole);
        for (let i = 0; i < whole; i++) head[i] = bytes[i];
        bytes = head;
      }
      if (isStream) result = natives.decode(bytes, this.#encoding, this.#isFatal);
      let text = result[0];
      const mayHaveMark = this.#isStart && !this.#keepsMark && this.#encoding !== "latin1" && text !== "";
      if (mayHaveMark && stringCharCodeAt(text, 0) === 0xfeff) text = stringSlice(text, 1);
      this.#isStart = !isStream;
      return text;
    }
  }

  natives.define("TextEncoder", TextEncoder);
  natives.define("TextDecoder", TextDecoder);
};
