"""Five JavaScript kernels that know no host: each comes to one number or string, the same in every engine."""

from __future__ import annotations

KERNELS = {
    "calls": "(() => { const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2)); return fib(23); })()",
    "objects": """(() => {
        const items = [];
        for (let i = 0; i < 40000; i++) items.push({ id: i, tags: [i], name: "s" + i });
        return items.filter((item) => item.id % 3 === 0).map((item) => item.tags[0] + item.name.length)
            .reduce((sum, one) => sum + one, 0);
    })()""",
    "strings": """(() => {
        let text = "", length = 0;
        for (let i = 0; i < 40000; i++) text += "ab" + i;
        for (const part of text.split("a")) length += part.length;
        return length;
    })()""",
    "json": """(() => {
        const rows = Array.from({ length: 2000 }, (_, id) => ({ id, name: "n" + id, tags: ["a", "b"], ratio: id / 3 }));
        let text = JSON.stringify(rows);
        for (let k = 0; k < 3; k++) text = JSON.stringify(JSON.parse(text));
        return text.length;
    })()""",
    "sorting": """(() => {
        let x = 1;
        const numbers = Array.from({ length: 20000 }, () => (x = (x * 1103515245 + 12345) % 2147483648));
        return numbers.sort((a, b) => a - b)[100];
    })()""",
}
