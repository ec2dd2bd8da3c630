// The namespace object (`codemode`): every name on it is a function that asks the host. The list of known names is
// only for `in`, Object.keys and for...in: a call goes out under any name, and the host decides.
(natives) => {
  const {
    Error, ObjectCreate, Proxy, TypeError, arrayPush, defineProperty, setAdd, setHas, Set, stringReplaceAll,
    stringSplit, stringToLowerCase,
  } = natives.primordials;
  const call = natives.call;

  // Awaiting, serialising and inspecting ask for these; they are never methods.
  const isReserved = (key) => typeof key === "symbol" || key === "then" || key === "toJSON";

  const refuse = (what) => () => {
    throw new TypeError(`${what} is read-only`);
  };

  // codemode.a is callable, and codemode.a.b is the method "a.b". What every function has (call, apply, bind) stays.
  const refuseMethod = (method) => refuse(method.name)();
  const methodHandler = {
    __proto__: null,
    get(method, key) {
      if (isReserved(key)) return undefined;
      if (key === "call" || key === "apply" || key === "bind") return method[key];
      if (key === "name" || key === "length") return method[key];
      if (key === "toString") return () => `function ${method.name}() { [native code] }`;
      if (key === "constructor" || key === "prototype") return undefined;
      return methodOf(`${method.name}.${key}`);
    },
    set: refuseMethod,
    defineProperty: refuseMethod,
    deleteProperty: refuseMethod,
  };
  const methodOf = (path) => {
    const method = (...args) => call(path, args);
    defineProperty(method, "name", { __proto__: null, value: path });
    return new Proxy(method, methodHandler);
  };

  const fold = (name) =>
    stringReplaceAll(stringReplaceAll(stringReplaceAll(stringToLowerCase(name), "_", ""), "-", ""), ".", "");

  const makeNamespace = (label, builtins) => {
    let names, folded;
    const known = () => {
      if (names === undefined) {
        const joined = natives.methodNames(); // not before: few programs ask, and there may be thousands
        names = joined === "" ? [] : stringSplit(joined, "\n");
      }
      return names;
    };
    const isKnown = (key) => {
      if (folded === undefined) {
        folded = new Set();
        const list = known();
        for (let i = 0; i < list.length; i++) setAdd(folded, fold(list[i]));
        for (let i = 0; i < builtins.length; i++) setAdd(folded, fold(builtins[i]));
      }
      return setHas(folded, fold(key));
    };
    const methods = ObjectCreate(null); // one function a name: codemode.a === codemode.a
    const get = (key) => methods[key] ??= methodOf(key);
    return new Proxy(ObjectCreate(null), {
      __proto__: null,
      get: (target, key) => (isReserved(key) ? undefined : get(key)),
      has: (target, key) => !isReserved(key) && isKnown(key),
      ownKeys: () => {
        const list = known(), copy = [];
        for (let i = 0; i < list.length; i++) arrayPush(copy, list[i]);
        return copy;
      },
      getOwnPropertyDescriptor: (target, key) =>
        isReserved(key) || !isKnown(key)
          ? undefined
          : { __proto__: null, value: get(key), writable: true, enumerable: true, configurable: true },
      set: refuse(label),
      defineProperty: refuse(label),
      deleteProperty: refuse(label),
    });
  };

  const makeErrorClass = (name) => {
    const errorClass = { [name]: class extends Error {} }[name];
    natives.define("name", name, errorClass.prototype);
    natives.define(name, errorClass);
    natives.addErrorClass(name, errorClass.prototype);
  };

  // Called with the setup of a run, before the program.
  natives.begin((setup) => {
    const { namespace, builtins = [], errors = [] } = setup;
    for (let i = 0; i < errors.length; i++) makeErrorClass(errors[i]);
    const made = makeNamespace(namespace, builtins);
    natives.define(namespace, made);
    const description = `[${namespace}: Object.keys(${namespace}) lists its methods]`;
    natives.describeProxy = (value) => (value === made ? description : "[Proxy]");
  });
};
