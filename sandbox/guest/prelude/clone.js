// structuredClone: a deep copy that keeps cycles, Map, Set, Date, RegExp, Error, buffers and their views.
(natives) => {
  const {
    ArrayIsArray, ArrayBufferIsView, Date, DOMException, Error, Map, Object, ObjectKeys, RegExp, Set,
    arrayBufferLength, arrayBufferSlice, dataViewBuffer, dataViewByteLength, dataViewByteOffset, dateGetTime,
    defineProperty, hasOwn, mapForEach, mapGet, mapHas, mapSet, regexpFlags, regexpSource, setAdd, setForEach,
    typedArrayBuffer, typedArrayByteOffset, typedArrayLength, typedArrayTag,
  } = natives.primordials;
  const { classOf } = natives;

  const DEPTH_MAX = 1000; // the stack would end a little further

  const put = (target, key, value) => {
    defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  };
  const refuse = (what) => {
    throw new DOMException(`${what} cannot be cloned`, "DataCloneError");
  };
  const VIEWS = { __proto__: null };
  const names = ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array",
    "Uint32Array", "BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array"];
  for (let i = 0; i < names.length; i++) VIEWS[names[i]] = globalThis[names[i]];
  const DataViewClass = DataView;
  const ERRORS = { __proto__: null, Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

  const clone = (value, copies, depth) => {
    if (typeof value === "symbol") refuse("a symbol");
    if (typeof value === "function") refuse(`the function ${value.name}`);
    if (typeof value !== "object" || value === null) return value;
    if (mapHas(copies, value)) return mapGet(copies, value);
    if (depth > DEPTH_MAX) refuse("a value this deep");
    const kind = classOf(value);
    const keep = (copy) => (mapSet(copies, value, copy), copy);
    const next = (item) => clone(item, copies, depth + 1);
    switch (kind) {
      case "date": return keep(new Date(dateGetTime(value)));
      case "regexp": return keep(new RegExp(regexpSource(value), regexpFlags(value)));
      case "map": {
        const copy = keep(new Map());
        mapForEach(value, (item, key) => { mapSet(copy, next(key), next(item)); });
        return copy;
      }
      case "set": {
        const copy = keep(new Set());
        setForEach(value, (item) => { setAdd(copy, next(item)); });
        return copy;
      }
      case "error": {
        const copy = keep(new (ERRORS[value.name] ?? Error)(`${value.message}`));
        if (hasOwn(value, "cause")) put(copy, "cause", next(value.cause));
        return copy;
      }
      case "boxed": return keep(Object(value.valueOf()));
      case "buffer": return keep(arrayBufferSlice(value, 0, arrayBufferLength(value)));
      case "promise": return refuse("a Promise");
      case "weak": return refuse("a weak collection");
    }
    if (ArrayBufferIsView(value)) {
      const tag = typedArrayTag(value);
      return tag === undefined
        ? keep(new DataViewClass(next(dataViewBuffer(value)), dataViewByteOffset(value), dataViewByteLength(value)))
        : keep(new VIEWS[tag](next(typedArrayBuffer(value)), typedArrayByteOffset(value), typedArrayLength(value)));
    }
    const copy = keep(ArrayIsArray(value) ? [] : {});
    if (ArrayIsArray(value)) copy.length = value.length;
    const keys = ObjectKeys(value);
    for (let i = 0; i < keys.length; i++) put(copy, keys[i], next(value[keys[i]]));
    return copy;
  };

  natives.define("structuredClone", function structuredClone(value) {
    return clone(value, new Map(), 0);
  });
};
