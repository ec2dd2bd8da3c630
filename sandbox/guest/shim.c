/* The guest's outer surface: its exports and one control block. README.md tells the ABI from the host's side.

   Ownership contract
   - The module is one isolate: one runtime, one context, one program. It is used for one run and thrown away, so
     nothing here is freed at the end, and nothing has to be reset.
   - portico_init and portico_prelude run when the package is built; the linear memory they leave behind is the
     snapshot that every isolate starts from. They must not read the clock or the seed.
   - Bytes go in through the inbox. The host writes them, calls, and may overwrite them as soon as the call returns:
     what is kept is copied.
   - Bytes come out through the outbox. Its records belong to the host until the next call, which clears them. Its
     length is written after the bytes it covers, so that it is right at every instant, also after a trap.
   - A JSValue held in a static variable is owned by it. Functions that take JSValue take it over, those that take
     JSValueConst borrow; that is quickjs.h's rule, kept throughout.
   - Guest code runs only inside portico_start and portico_settle, and may run inside every JS_Call, property read
     and toJSON below them. No C state is held across such a point unless the comment there says why it is safe.
   - After a trap the instance is dead: the host reads the outbox, if it wants the logs, and drops it. */
#include "guest.h"
#include "heap.h"

#define EXPORT(name) __attribute__((export_name(#name), used)) name

enum {
    ABI_VERSION = 3,
    INBOX_BYTES = 16 * 1024, /* most programs and answers fit: no call to reserve, no allocation */
    WAITING = 0,
    ENDED = 1,
    INTERRUPTED = 2, /* the flag was set: there is no end record */
    BAD_INPUT = -1, /* the host broke the protocol */
};

Control control = {.abi = ABI_VERSION, .clock_us = 0, .wake_at_us = -1};
uint32_t memory_refused, memory_reserve;

static JSRuntime *runtime;
static JSContext *context;
static JSValue natives, begin_run;
static char inbox[INBOX_BYTES];

/* ---- the JavaScript heap, with its limit ------------------------------------------------------------------------- */

/* Counted here and not by JS_SetMemoryLimit, to know afterwards whether memory was ever refused: without memory the
   engine throws a bare null. */
static size_t js_bytes;

static bool may_grow(size_t more)
{
    uint64_t most = (uint64_t)limits.memory_bytes + memory_reserve;
    if (limits.memory_bytes && engine_reports_full_memory(runtime))
        most += MEMORY_ERROR_BYTES;
    bool fits = !limits.memory_bytes || (uint64_t)js_bytes + more <= most;
    if (!fits)
        memory_refused = js_bytes;
    return fits;
}

static void *js_resize_block(void *opaque, void *block, size_t size)
{
    size_t before = heap_size_of(block);
    if (size > before && !may_grow(size - before))
        return NULL;
    void *resized = heap_resize(block, size);
    if (resized)
        js_bytes += heap_size_of(resized) - before;
    else
        memory_refused = js_bytes;
    return resized;
}

static void *js_alloc_block(void *opaque, size_t size)
{
    return js_resize_block(opaque, NULL, size);
}

static void *js_alloc_zeroes(void *opaque, size_t count, size_t size)
{
    void *block = js_alloc_block(opaque, count * size); /* the engine has checked the product */
    return block ? memset(block, 0, count * size) : NULL;
}

static void js_free_block(void *opaque, void *block)
{
    js_bytes -= heap_size_of(block);
    heap_free(block);
}

/* ---- at build time ----------------------------------------------------------------------------------------------- */

/* begin(function): what the prelude wants to have called with the setup of a run */
static JSValue set_begin(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    begin_run = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

int EXPORT(portico_init)(void)
{
    static const JSMallocFunctions heap = {js_alloc_zeroes, js_alloc_block, js_free_block, js_resize_block,
                                           heap_size_of};
    control.inbox = (uint32_t)(uintptr_t)inbox;
    control.inbox_capacity = sizeof(inbox);
    runtime = JS_NewRuntime2(&heap, NULL);
    JS_SetMaxStackSize(runtime, JS_STACK_BYTES);
    JS_SetGCThreshold(runtime, GC_THRESHOLD_BYTES);
    JS_SetCanBlock(runtime, false); /* Atomics.wait would stop the worker */
    JS_SetModuleLoaderFunc(runtime, NULL, source_refuse_import, NULL);
    context = JS_NewContext(runtime);
    report_init(context);
    json_init(context);
    natives = JS_NewObject(context);
    text_natives(context, natives);
    inspect_natives(context, natives);
    bridge_natives(context, natives);
    timer_natives(context, natives);
    report_natives(context, natives);
    setup_natives(context, natives);
    JS_SetPropertyStr(context, natives, "begin", JS_NewCFunction(context, set_begin, "begin", 1));
    return context ? 0 : BAD_INPUT;
}

/* Runs one prelude file from the inbox: an expression whose value is a function of the natives. Written out and read
   back without source and positions, so that no program sees the prelude's text in a stack or by toString. */
int EXPORT(portico_prelude)(uint32_t length)
{
    char *text = (char *)(uintptr_t)control.inbox;
    size_t size;
    text[length] = 0;
    JSValue compiled = JS_Eval(context, text, length, "prelude", JS_EVAL_FLAG_STRICT | JS_EVAL_FLAG_COMPILE_ONLY);
    memset(text, 0, length);
    const int flags = JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG;
    uint8_t *bytecode = JS_IsException(compiled) ? NULL : JS_WriteObject(context, &size, compiled, flags);
    JS_FreeValue(context, compiled);
    JSValue loaded = bytecode ? JS_ReadObject(context, bytecode, size, JS_READ_OBJ_BYTECODE) : JS_EXCEPTION;
    js_free(context, bytecode);
    JSValue function = JS_IsException(loaded) ? loaded : JS_EvalFunction(context, loaded);
    JSValue result = JS_IsException(function)
                         ? JS_EXCEPTION
                         : JS_Call(context, function, JS_UNDEFINED, 1, (JSValueConst *)&natives);
    JS_FreeValue(context, function);
    bool is_good = !JS_IsException(result);
    JS_FreeValue(context, result);
    if (!is_good) { /* for whoever writes the prelude: the reason, as a log record */
        Buffer reason = {0};
        JSValue error = JS_GetException(context);
        report_error(context, &reason, error, false);
        outbox_put('L', &reason);
        JS_FreeValue(context, error);
    }
    JS_RunGC(runtime);
    return is_good ? 0 : BAD_INPUT;
}

/* The last call of the build. Returns where the snapshot ends and the blocks of a run begin. */
uint32_t EXPORT(portico_seal)(void)
{
    if (control.inbox != (uint32_t)(uintptr_t)inbox)
        heap_free((void *)(uintptr_t)control.inbox);
    control.inbox = (uint32_t)(uintptr_t)inbox;
    control.inbox_capacity = sizeof(inbox);
    engine_seal(runtime);
    return heap_seal();
}

/* ---- at run time ------------------------------------------------------------------------------------------------- */

uint32_t EXPORT(portico_reserve)(uint32_t length)
{
    if (length >= control.inbox_capacity) {
        char *larger = length < UINT32_MAX ? heap_alloc((size_t)length + 1) : NULL;
        if (!larger)
            return 0;
        if (control.inbox != (uint32_t)(uintptr_t)inbox)
            heap_free((void *)(uintptr_t)control.inbox);
        control.inbox = (uint32_t)(uintptr_t)larger;
        control.inbox_capacity = length + 1;
    }
    return control.inbox;
}

static int advance(void)
{
    bool is_over = program_advance(context);
    control.wake_at_us = is_over ? -1 : timers_next_us();
    control.memory_used = js_bytes;
    return !is_over ? WAITING : report_is_interrupted() ? INTERRUPTED : ENDED;
}

/* The host may call this long before the run: no clock and no seed are set, and no code of the program's runs in it. */
int EXPORT(portico_prepare)(uint32_t length)
{
    char *bytes = (char *)(uintptr_t)control.inbox;
    if (limits.memory_bytes || length >= control.inbox_capacity)
        return BAD_INPUT;
    bool is_lasting = bytes != inbox;
    if (is_lasting) { /* a reserved inbox is left to what is unread in it: a copy would double the memory touched */
        control.inbox = (uint32_t)(uintptr_t)inbox;
        control.inbox_capacity = sizeof(inbox);
    }
    JSValue setup = setup_read(context, bytes, length, is_lasting);
    if (JS_IsException(setup))
        return BAD_INPUT;
    JSValue begun = JS_Call(context, begin_run, JS_UNDEFINED, 1, (JSValueConst *)&setup);
    JS_FreeValue(context, setup);
    return JS_IsException(begun) ? BAD_INPUT : 0;
}

int EXPORT(portico_start)(uint32_t length)
{
    char *bytes = (char *)(uintptr_t)control.inbox;
    if (!limits.memory_bytes || length >= control.inbox_capacity)
        return BAD_INPUT;
    outbox_clear();
    random_seed(control.seed);
    timers_start();
    bytes[length] = 0;
    program_load(context, bytes, length);
    return advance();
}

int EXPORT(portico_settle)(uint32_t length)
{
    char *bytes = (char *)(uintptr_t)control.inbox;
    if (length >= control.inbox_capacity)
        return BAD_INPUT;
    bytes[length] = 0;
    outbox_clear();
    if (!bridge_settle(context, bytes, length)) {
        if (!memory_refused)
            return BAD_INPUT;
        program_end_out_of_memory(context);
        return ENDED;
    }
    return advance();
}

/* Where the control block lies; it never moves. */
uint32_t EXPORT(portico_control)(void)
{
    return (uint32_t)(uintptr_t)&control;
}
