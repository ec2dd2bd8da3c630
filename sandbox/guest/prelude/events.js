// Event, EventTarget, AbortController and AbortSignal: as much of them as code that cancels its own waiting uses.
(natives) => {
  const {
    DOMException, Map, TypeError, apply, arrayPush, arraySlice, arraySplice, mapGet, mapSet,
  } = natives.primordials;

  class Event {
    #type; #isCancelable; #isPrevented = false; #isStopped = false; target = null; currentTarget = null;
    constructor(type, options = undefined) {
      this.#type = `${type}`;
      this.#isCancelable = !!options?.cancelable;
    }
    get type() { return this.#type; }
    get cancelable() { return this.#isCancelable; }
    get defaultPrevented() { return this.#isPrevented; }
    preventDefault() { if (this.#isCancelable) this.#isPrevented = true; }
    stopImmediatePropagation() { this.#isStopped = true; }
    stopPropagation() {}
    static isStopped(event) { return event.#isStopped; }
  }
  const { isStopped } = Event;
  delete Event.isStopped;

  class CustomEvent extends Event {
    #detail;
    constructor(type, options = undefined) {
      super(type, options);
      this.#detail = options?.detail ?? null;
    }
    get detail() { return this.#detail; }
  }

  class EventTarget {
    #listeners = new Map();
    addEventListener(type, callback, options = undefined) {
      if (callback === null || callback === undefined) return;
      const isOnce = typeof options === "object" && options !== null && !!options.once;
      let list = mapGet(this.#listeners, `${type}`);
      if (list === undefined) mapSet(this.#listeners, `${type}`, (list = []));
      for (let i = 0; i < list.length; i++) if (list[i].callback === callback) return;
      arrayPush(list, { __proto__: null, callback, isOnce });
    }
    removeEventListener(type, callback) {
      const list = mapGet(this.#listeners, `${type}`) ?? [];
      for (let i = 0; i < list.length; i++) if (list[i].callback === callback) return void arraySplice(list, i, 1);
    }
    dispatchEvent(event) {
      event.target = event.currentTarget = this;
      const handler = this[`on${event.type}`];
      if (typeof handler === "function") apply(handler, this, [event]);
      const list = arraySlice(mapGet(this.#listeners, event.type) ?? []);
      for (let i = 0; i < list.length && !isStopped(event); i++) {
        if (list[i].isOnce) this.removeEventListener(event.type, list[i].callback);
        const callback = list[i].callback;
        if (typeof callback === "function") apply(callback, this, [event]);
        else apply(callback.handleEvent, callback, [event]);
      }
      return !event.defaultPrevented;
    }
  }

  let makeSignal, abortSignal;
  let isAllowed = false;
  class AbortSignal extends EventTarget {
    #isAborted = false; #reason = undefined; onabort = null;
    constructor() {
      if (!isAllowed) throw new TypeError("AbortSignal is made by an AbortController");
      super();
    }
    get aborted() { return this.#isAborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#isAborted) throw this.#reason; }
    static {
      makeSignal = () => {
        isAllowed = true;
        try { return new AbortSignal(); } finally { isAllowed = false; }
      };
      abortSignal = (signal, reason) => {
        if (signal.#isAborted) return;
        signal.#isAborted = true;
        signal.#reason = reason === undefined ? new DOMException("this was aborted", "AbortError") : reason;
        signal.dispatchEvent(new Event("abort"));
      };
    }
    static abort(reason) {
      const signal = makeSignal();
      abortSignal(signal, reason);
      return signal;
    }
    static timeout(milliseconds) {
      const signal = makeSignal();
      const expire = () => abortSignal(signal, new DOMException("the time is over", "TimeoutError"));
      natives.setTimer(expire, milliseconds, false, []);
      return signal;
    }
    static any(signals) {
      const signal = makeSignal(), all = [...signals];
      for (let i = 0; i < all.length; i++) if (all[i].aborted) return abortSignal(signal, all[i].reason), signal;
      for (let i = 0; i < all.length; i++) {
        all[i].addEventListener("abort", () => abortSignal(signal, all[i].reason), { once: true });
      }
      return signal;
    }
  }

  class AbortController {
    #signal = makeSignal();
    get signal() { return this.#signal; }
    abort(reason) { abortSignal(this.#signal, reason); }
  }

  natives.define("Event", Event);
  natives.define("CustomEvent", CustomEvent);
  natives.define("EventTarget", EventTarget);
  natives.define("AbortSignal", AbortSignal);
  natives.define("AbortController", AbortController);
};
