/* What to do instead of a name that other places to run JavaScript have and an isolate has not. The names stay absent
   (`typeof fetch` is "undefined", which programs ask); only the error that ends a run says more. The host's setup may
   give its own text for a name. */
#include "guest.h"

static const struct {
    const char *name;
    const char *advice; /* %s: the namespace */
} defaults[] = {
    {"fetch", "there is no network in this isolate; call a method of %s instead"},
    {"XMLHttpRequest", "there is no network in this isolate; call a method of %s instead"},
    {"WebSocket", "there is no network in this isolate; call a method of %s instead"},
    {"axios", "there is no network in this isolate; call a method of %s instead"},
    {"require", "there are no modules in this isolate; what there is comes as globals and as methods of %s"},
    {"module", "there are no modules here; return the result, or let the last expression be it"},
    {"exports", "there are no modules here; return the result, or let the last expression be it"},
    {"process", "there is no process in this isolate: no environment, arguments or exit; return to end the program"},
    {"Buffer", "use Uint8Array with TextEncoder, TextDecoder, atob and btoa"},
    {"fs", "there are no files in this isolate; call a method of %s instead"},
    {"Deno", "this isolate is not Deno; files and network are reached by methods of %s only"},
    {"Bun", "this isolate is not Bun; files and network are reached by methods of %s only"},
    {"window", "this isolate is not a browser; the global object is globalThis"},
    {"document", "this isolate is not a browser: there is no page"},
    {"localStorage", "nothing is kept between programs; return what the next one needs"},
    {"Intl", "there is no Intl in this isolate; toLocaleString of numbers and dates gives en-US text"},
    {"WebAssembly", "there is no WebAssembly inside the isolate"},
    {"Worker", "there are no threads in this isolate; Promise.all lets calls overlap"},
};

bool advice_for(JSContext *ctx, const char *name, size_t length, char *out, size_t size)
{
    JSAtom atom = JS_NewAtomLen(ctx, name, length);
    JSValue hints = setup_hints(ctx);
    JSPropertyDescriptor field;
    bool is_found = false;
    if (JS_IsObject(hints) && JS_GetOwnProperty(ctx, &field, hints, atom) > 0) {
        const char *advice = JS_ToCString(ctx, field.value);
        is_found = advice != NULL;
        if (advice)
            snprintf(out, size, "%s", advice);
        JS_FreeCString(ctx, advice);
        JS_FreeValue(ctx, field.value);
        JS_FreeValue(ctx, field.getter);
        JS_FreeValue(ctx, field.setter);
    }
    JS_FreeValue(ctx, hints);
    JS_FreeAtom(ctx, atom);
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]) && !is_found; i++) {
        is_found = strlen(defaults[i].name) == length && !memcmp(defaults[i].name, name, length);
        if (is_found)
            snprintf(out, size, defaults[i].advice, namespace_name);
    }
    return is_found;
}
