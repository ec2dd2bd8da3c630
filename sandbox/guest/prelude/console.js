(natives) => {
  const { String, arrayJoin, arrayPush, jsonStringify } = natives.primordials;
  const say = (level) => (...args) => {
    const parts = [];
    for (let i = 0; i < args.length; i++) arrayPush(parts, typeof args[i] === "string" ? args[i] : String(jsonStringify(args[i])));
    natives.log(level, arrayJoin(parts, " "));
  };
  natives.define("console", { log: say("log"), info: say("info"), warn: say("warn"), error: say("error"), debug: say("debug") });
};
