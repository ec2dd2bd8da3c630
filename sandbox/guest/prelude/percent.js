// Percent encoding, as URLs, their queries and forms have it: each byte of a character's UTF-8 as %XX.
(natives) => {
  const {
    StringFromCharCode, Uint8Array, numberToString, stringIncludes, stringPadStart, stringToUpperCase,
    stringToWellFormed, typedArrayLength,
  } = natives.primordials;

  // `kept`: the ASCII characters that stay as they are, beside letters, digits and -._~
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

  // Of a digit's character code; -1 for any other.
  const hexValue = (c) =>
    c >= 48 && c <= 57 ? c - 48 : c >= 65 && c <= 70 ? c - 55 : c >= 97 && c <= 102 ? c - 87 : -1;

  const decode = (text) => {
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

  natives.percent = { __proto__: null, encode, decode, hexValue };
};
