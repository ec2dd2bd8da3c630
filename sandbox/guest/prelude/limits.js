// LimitError, which every limit inside the isolate throws: which limit, its value and what was reached. And the
// globals that an isolate does not have.
(natives) => {
  const { Error, RangeError, TypeError } = natives.primordials;

  class LimitError extends Error {
    constructor(message, limit, max, used) {
      super(message);
      this.limit = limit;
      this.max = max;
      this.used = used;
    }
  }
  natives.define("name", "LimitError", LimitError.prototype);
  natives.setLimitError((message, limit, max, used) => new LimitError(message, limit, max, used));
  natives.addErrorClass("Error", Error.prototype);
  natives.addErrorClass("TypeError", TypeError.prototype);
  natives.addErrorClass("RangeError", RangeError.prototype);
  natives.addErrorClass("LimitError", LimitError.prototype);

  // Threads, and memory shared between them, exist on the web only under conditions that an isolate does not meet.
  delete globalThis.SharedArrayBuffer;
  delete globalThis.Atomics;

  // A frame of the stack would hand a program the functions of this prelude that are on it.
  let frame;
  Error.prepareStackTrace = (_, frames) => { frame = frames[0]; };
  new Error();
  Error.prepareStackTrace = undefined;
  delete natives.primordials.getPrototypeOf(frame).getFunction;

  // The engine's xorshift starts the same in every copy of a snapshot.
  natives.define("random", natives.random, Math);
};
