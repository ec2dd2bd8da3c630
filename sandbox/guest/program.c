/* The program: the state of its run, from its compiled source to the end record.

   The run hangs on one value at a time: the promise of the script or module, then the value that came out of it. A
   function that comes out is called, once, without arguments; a promise is awaited. The result is written late, when
   no host call is out, so that what a callback still adds to it is in it. */
#include "guest.h"

typedef enum {
    EVALUATING, /* `current` is the promise of the script or module */
    AWAITING,   /* `current` is the promise of the value */
    FULFILLED,  /* `current` is the value */
    REJECTED,   /* `current` is what was thrown */
} Phase;

static Form form;
static Phase phase;
static JSValue current = JS_UNDEFINED;
static JSModuleDef *module;
static bool is_called; /* a function that came out was called: a function that it returns is a value */
static bool is_syntax_error; /* no form could be compiled */

static void fail(JSContext *ctx, JSValue thrown)
{
    JS_FreeValue(ctx, current);
    current = thrown;
    phase = REJECTED;
}

/* Follows a value: a function is called, a promise awaited. Takes the value over. */
static void follow(JSContext *ctx, JSValue value)
{
    if (!JS_IsException(value) && JS_IsFunction(ctx, value) && !is_called) {
        is_called = true;
        JSValue result = JS_Call(ctx, value, JS_UNDEFINED, 0, NULL);
        JS_FreeValue(ctx, value);
        value = result;
    }
    if (!JS_IsException(value) && JS_IsObject(value) && !JS_IsPromise(value)) {
        JSValue promise = JS_NewSettledPromise(ctx, false, value); /* a thenable is awaited as `await` would */
        JS_FreeValue(ctx, value);
        value = promise;
    }
    if (JS_IsException(value)) {
        fail(ctx, JS_GetException(ctx));
        return;
    }
    JS_FreeValue(ctx, current);
    current = value;
    phase = JS_IsPromise(value) ? AWAITING : FULFILLED;
}

void program_load(JSContext *ctx, const char *given, size_t length)
{
    if (length > limits.source_bytes) {
        report_throw_limit(ctx, "source_bytes", limits.source_bytes, length);
        fail(ctx, JS_GetException(ctx));
        return;
    }
    if (!source_keep(given, length)) {
        JS_ThrowOutOfMemory(ctx);
        fail(ctx, JS_GetException(ctx));
        return;
    }
    JSValue compiled = source_compile(ctx, &form);
    if (JS_IsException(compiled)) {
        is_syntax_error = true;
        fail(ctx, JS_GetException(ctx));
        return;
    }
    if (form == MODULE)
        module = JS_VALUE_GET_PTR(compiled);
    JSValue evaluated = JS_EvalFunction(ctx, compiled);
    if (form == BODY || JS_IsException(evaluated)) {
        follow(ctx, evaluated);
    } else {
        current = evaluated;
        phase = EVALUATING;
    }
}

/* ---- a script's value -------------------------------------------------------------------------------------------- */

static JSValue module_value(JSContext *ctx)
{
    static const char *const names[] = {"default", "main", "run"};
    JSValue exports = JS_GetModuleNamespace(ctx, module), value = JS_UNDEFINED;
    for (int i = 0; i < 3 && JS_IsUndefined(value); i++)
        value = JS_GetPropertyStr(ctx, exports, names[i]);
    JS_FreeValue(ctx, exports);
    return value;
}

static JSValue completion_value(JSContext *ctx, JSValueConst evaluated)
{
    if (form == MODULE)
        return module_value(ctx);
    JSValue value = JS_GetPropertyStr(ctx, evaluated, "value"); /* {value}, made by the engine */
    if (form != SCRIPT)
        return value;
    bool is_directive = false;
    if (JS_IsString(value)) {
        const char *directive = JS_ToCString(ctx, value);
        is_directive = directive && !strcmp(directive, "use strict");
        JS_FreeCString(ctx, directive);
    }
    if (!JS_IsUndefined(value) && !is_directive)
        return value;
    JSValue function = source_uncalled_function(ctx);
    if (JS_IsUndefined(function))
        return value;
    JS_FreeValue(ctx, value);
    return function;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Looks at the promise that the run hangs on; true when that moved. */
static bool step(JSContext *ctx)
{
    if (phase >= FULFILLED)
        return false;
    JSPromiseStateEnum state = JS_PromiseState(ctx, current);
    if (state == JS_PROMISE_PENDING)
        return false;
    JSValue result = JS_PromiseResult(ctx, current);
    JS_PromiseMarkAsHandled(ctx, current);
    if (state == JS_PROMISE_REJECTED) {
        fail(ctx, result);
    } else if (phase == EVALUATING) {
        JSValue value = completion_value(ctx, result);
        JS_FreeValue(ctx, result);
        follow(ctx, value);
    } else {
        JS_FreeValue(ctx, current);
        current = result;
        phase = FULFILLED;
    }
    return true;
}

static void write_end(JSContext *ctx, Buffer *outcome)
{
    Buffer record = {0};
    buffer_text(&record, "{");
    if (outcome->length) {
        buffer_put(&record, outcome->bytes, outcome->length);
        buffer_text(&record, ",");
    }
    buffer_text(&record, "\"unhandled\":");
    report_unhandled(ctx, &record);
    buffer_text(&record, ",\"unawaited_calls\":");
    uint32_t unawaited = bridge_unawaited(&record);
    buffer_text(&record, ",\"unawaited\":");
    buffer_number(&record, unawaited);
    buffer_text(&record, ",\"dropped_timers\":");
    buffer_number(&record, timers_pending());
    buffer_text(&record, "}");
    if (outcome->failed || !outbox_put('E', &record)) {
        Buffer last = {0};
        buffer_text(&last, "{\"error\":");
        report_limit(&last, "memory_bytes", limits.memory_bytes, limits.memory_bytes);
        buffer_text(&last, ",\"unhandled\":[],\"unawaited_calls\":[],\"unawaited\":0,\"dropped_timers\":0}");
        outbox_put('E', &last);
        buffer_free(&last);
    }
    buffer_free(&record);
    buffer_free(outcome);
}

static void end_with_limit(JSContext *ctx, const char *limit, uint64_t max, uint64_t used)
{
    Buffer outcome = {0};
    buffer_text(&outcome, "\"error\":");
    report_limit(&outcome, limit, max, used);
    write_end(ctx, &outcome);
}

void program_end_out_of_memory(JSContext *ctx)
{
    end_with_limit(ctx, "memory_bytes", limits.memory_bytes, memory_refused);
}

/* Everything is settled: write the end record. False when the value holds a promise that a timer may still settle. */
static bool try_end(JSContext *ctx)
{
    Buffer outcome = {0};
    JsonWriter writer = {.out = &outcome, .depth_max = RESULT_DEPTH_MAX, .awaits = true, .offending = JS_UNDEFINED};
    JsonStatus status = JSON_ABSENT;
    bridge_close(true);
    if (phase == FULFILLED) {
        buffer_text(&outcome, "\"value\":");
        writer.bytes_max = limits.result_bytes + outcome.length;
        status = json_write(ctx, &writer, current);
    }
    if (status != JSON_OK)
        outcome.length = 0;
    switch (status) {
    case JSON_OK:
        break;
    case JSON_ABSENT:
        break;
    case JSON_PROMISE_PENDING:
        buffer_free(&outcome);
        bridge_close(false);
        return false;
    case JSON_TOO_LARGE:
        buffer_text(&outcome, "\"error\":");
        report_limit(&outcome, "result_bytes", limits.result_bytes, writer.bytes - strlen("\"value\":"));
        break;
    case JSON_TOO_DEEP:
        buffer_text(&outcome, "\"error\":");
        report_limit(&outcome, "result_depth", RESULT_DEPTH_MAX, RESULT_DEPTH_MAX + 1);
        break;
    case JSON_PROMISE_REJECTED: {
        JSValue reason = JS_PromiseResult(ctx, writer.offending);
        JS_FreeValue(ctx, writer.offending);
        fail(ctx, reason);
        break;
    }
    case JSON_EXCEPTION:
        fail(ctx, JS_GetException(ctx));
        break;
    default:
        outcome.failed = true;
    }
    memory_reserve = REPORT_RESERVE_BYTES;
    if (phase == REJECTED) {
        buffer_text(&outcome, "\"error\":");
        report_error(ctx, &outcome, current, is_syntax_error);
    }
    if (report_is_interrupted())
        buffer_free(&outcome);
    else
        write_end(ctx, &outcome);
    return true;
}

static bool run_one_job(JSContext *ctx)
{
    JSContext *job_context;
    int ran = JS_ExecutePendingJob(JS_GetRuntime(ctx), &job_context);
    if (ran < 0)
        report_uncaught(ctx);
    return ran != 0;
}

bool program_advance(JSContext *ctx)
{
    for (;;) {
        while (!report_is_interrupted() && run_one_job(ctx))
            ;
        if (report_is_interrupted())
            return true;
        if (step(ctx))
            continue;
        if (phase >= FULFILLED && control.calls_outstanding == 0 && try_end(ctx))
            return true;
        /* Writing the result may have queued jobs: toJSON and getters are the program's. */
        if (!timers_run_one(ctx) && !JS_IsJobPending(JS_GetRuntime(ctx)))
            break;
    }
    return false;
}
