// crypto.randomUUID and getRandomValues, over the host's seed (random.c). No subtle: keys have no place in an isolate.
(natives) => {
  const {
    ArrayBufferIsView, TypeError, Uint8Array, DOMException, numberToString, stringIncludes, stringPadStart,
    typedArrayBuffer, typedArrayByteLength, typedArrayByteOffset, typedArrayTag,
  } = natives.primordials;

  const BYTES_MAX = 65536; // of one request, by the Web Crypto standard

  const getRandomValues = (array) => {
    const tag = ArrayBufferIsView(array) ? typedArrayTag(array) : undefined;
    if (tag === undefined || stringIncludes(tag, "Float"))
      throw new TypeError("getRandomValues takes an integer typed array");
    const length = typedArrayByteLength(array);
    if (length > BYTES_MAX) throw new DOMException(`at most ${BYTES_MAX} bytes at once`, "QuotaExceededError");
    natives.randomFill(new Uint8Array(typedArrayBuffer(array), typedArrayByteOffset(array), length));
    return array;
  };

  const randomUUID = () => {
    const bytes = new Uint8Array(16);
    natives.randomFill(bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = "";
    for (let i = 0; i < 16; i++) {
      if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
      text += stringPadStart(numberToString(bytes[i], 16), 2, "0");
    }
    return text;
  };

  const crypto = {};
  natives.define("getRandomValues", getRandomValues, crypto);
  natives.define("randomUUID", randomUUID, crypto);
  natives.define("crypto", crypto);
};
