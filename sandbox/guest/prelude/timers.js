// setTimeout and its family and performance, over the host's clock (timers.c).
(natives) => {
  const { setTimer, clearTimer } = natives;
  natives.define("setTimeout", function setTimeout(callback, delay = 0, ...args) {
    return setTimer(callback, delay, false, args);
  });
  natives.define("setInterval", function setInterval(callback, delay = 0, ...args) {
    return setTimer(callback, delay, true, args);
  });
  natives.define("setImmediate", function setImmediate(callback, ...args) {
    return setTimer(callback, 0, false, args);
  });
  natives.define("clearTimeout", function clearTimeout(id) {
    clearTimer(id);
  });
  natives.define("clearInterval", function clearInterval(id) {
    clearTimer(id);
  });
  natives.define("clearImmediate", function clearImmediate(id) {
    clearTimer(id);
  });

  const performance = {};
  natives.define("now", natives.now, performance);
  natives.primordials.defineProperty(performance, "timeOrigin", {
    __proto__: null, get: natives.timeOrigin, enumerable: true, configurable: true,
  });
  natives.define("performance", performance);
};
