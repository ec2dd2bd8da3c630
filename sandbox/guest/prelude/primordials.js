// What the rest of the prelude uses of the language, taken before any program runs: a program may replace
// Array.prototype.push or JSON, and the console, the timers and the namespace work as before.
//
// `natives` (the C functions) carries them from file to file; a program never sees that object. In these files:
// no `for...of`, no spread of arguments, no destructuring of arrays (they ask Symbol.iterator), no regular
// expressions and no methods on values that are not called through a primordial.
(natives) => {
  const { apply, ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf } = Reflect;
  const unbind = (method) => (self, ...args) => apply(method, self, args);
  const method = (prototype, name) => unbind(prototype[name]);
  const getter = (prototype, name) => unbind(getOwnPropertyDescriptor(prototype, name).get);
  const typedArray = getPrototypeOf(Uint8Array.prototype);
  const year = method(Date.prototype, "getFullYear"), month = method(Date.prototype, "getMonth");
  const day = method(Date.prototype, "getDate"), weekday = method(Date.prototype, "getDay");
  const hours = method(Date.prototype, "getHours"), minutes = method(Date.prototype, "getMinutes");
  const seconds = method(Date.prototype, "getSeconds");

  natives.primordials = Object.freeze({
    __proto__: null,
    Date, Error, Map, Object, Promise, Proxy, RangeError, RegExp, Set, String, TypeError, Uint8Array,
    DOMException: globalThis.DOMException,
    ArrayIsArray: Array.isArray,
    ArrayBufferIsView: ArrayBuffer.isView,
    MathMax: Math.max,
    MathMin: Math.min,
    MathTrunc: Math.trunc,
    ObjectCreate: Object.create,
    ObjectIs: Object.is,
    ObjectKeys: Object.keys,
    StringFromCharCode: String.fromCharCode,
    parseInt,
    apply, ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf,
    arrayIndexOf: method(Array.prototype, "indexOf"),
    arrayJoin: method(Array.prototype, "join"),
    arrayPush: natives.push,
    arraySlice: method(Array.prototype, "slice"),
    arraySort: method(Array.prototype, "sort"),
    arraySplice: method(Array.prototype, "splice"),
    arrayBufferLength: getter(ArrayBuffer.prototype, "byteLength"),
    arrayBufferSlice: method(ArrayBuffer.prototype, "slice"),
    bigintToString: method(BigInt.prototype, "toString"),
    dataViewBuffer: getter(DataView.prototype, "buffer"),
    dataViewByteLength: getter(DataView.prototype, "byteLength"),
    dataViewByteOffset: getter(DataView.prototype, "byteOffset"),
    dateGetTime: method(Date.prototype, "getTime"),
    dateToISOString: method(Date.prototype, "toISOString"),
    dateParts: (date) => [year(date), month(date), day(date), hours(date), minutes(date), seconds(date), weekday(date)],
    hasOwn: Object.hasOwn,
    mapForEach: method(Map.prototype, "forEach"),
    mapGet: method(Map.prototype, "get"),
    mapHas: method(Map.prototype, "has"),
    mapSet: method(Map.prototype, "set"),
    mapDelete: method(Map.prototype, "delete"),
    mapSize: getter(Map.prototype, "size"),
    numberValueOf: method(Number.prototype, "valueOf"),
    numberToFixed: method(Number.prototype, "toFixed"),
    numberToString: method(Number.prototype, "toString"),
    regexpSource: getter(RegExp.prototype, "source"),
    regexpFlags: getter(RegExp.prototype, "flags"),
    setForEach: method(Set.prototype, "forEach"),
    setAdd: method(Set.prototype, "add"),
    setHas: method(Set.prototype, "has"),
    setSize: getter(Set.prototype, "size"),
    stringCharCodeAt: method(String.prototype, "charCodeAt"),
    stringEndsWith: method(String.prototype, "endsWith"),
    stringIncludes: method(String.prototype, "includes"),
    stringIndexOf: method(String.prototype, "indexOf"),
    stringLastIndexOf: method(String.prototype, "lastIndexOf"),
    stringPadStart: method(String.prototype, "padStart"),
    stringReplaceAll: method(String.prototype, "replaceAll"),
    stringSlice: method(String.prototype, "slice"),
    stringSplit: method(String.prototype, "split"),
    stringStartsWith: method(String.prototype, "startsWith"),
    stringToLowerCase: method(String.prototype, "toLowerCase"),
    stringToUpperCase: method(String.prototype, "toUpperCase"),
    stringToWellFormed: method(String.prototype, "toWellFormed"),
    stringTrim: method(String.prototype, "trim"),
    symbolToString: method(Symbol.prototype, "toString"),
    symbolIterator: Symbol.iterator,
    typedArrayBuffer: getter(typedArray, "buffer"),
    typedArrayByteLength: getter(typedArray, "byteLength"),
    typedArrayByteOffset: getter(typedArray, "byteOffset"),
    typedArrayLength: getter(typedArray, "length"),
    typedArrayTag: getter(typedArray, Symbol.toStringTag),
  });

  // A global as the standard ones are: writable, configurable, not enumerable (program.c tells a script's own
  // declarations from ours by that).
  natives.define = (name, value, target = globalThis) => {
    defineProperty(target, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
  };
};
