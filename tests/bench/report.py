"""What the benchmark prints: a table of medians, what must hold, and a plot."""
import statistics

UNITS = ("B", "kB", "MB", "GB")
COLOURS = ("#1b6ca8", "#d1495b", "#e08e9a", "#8d99ae", "#edae49", "#66a182", "#7768ae", "#9c6644",
           "#4f4f4f", "#2a9d8f")


def size_text(n):
    for unit in UNITS:
        if n < 1000 or unit == UNITS[-1]:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000


class Results:
    """Samples by step and peer."""

    def __init__(self):
        self.samples = {}

    def add(self, step, peer, sample):
        self.samples.setdefault(step, {}).setdefault(peer, []).append(sample)

    def steps(self):
        return list(self.samples)

    def peers(self, step):
        return list(self.samples[step])

    def has(self, step, peer):
        return peer in self.samples.get(step, {})

    def median(self, step, peer, key):
        return statistics.median(s[key] for s in self.samples[step][peer])

    def rounds(self, step):
        """A line a peer: seconds of wall time and of CPU."""
        return [f"          {peer:10} " + "  ".join(f"{s['wall']:.2f} ({s['cpu']:.2f})" for s in samples)
                for peer, samples in self.samples.get(step, {}).items()]

    def bytes(self, step, peer):
        return self.median(step, peer, "down") + self.median(step, peer, "up")


def table(results, base="rsync -a"):
    lines = ["| step | peer | wall s | CPU s | peak memory | down | up | wall : rsync -a |",
             "|---|---|---|---|---|---|---|---|"]
    for step in results.steps():
        for peer in results.peers(step):
            def med(key):
                return results.median(step, peer, key)
            ratio = "–"
            if results.has(step, base):
                ratio = f"{med('wall') / results.median(step, base, 'wall'):.2f}"
            down, up = ("–", "–") if step.startswith("publish") or peer == "cp -a" else (
                size_text(med("down")), size_text(med("up")))
            lines.append(f"| {step} | {peer} | {med('wall'):.3f} | {med('cpu'):.3f} | "
                         f"{size_text(med('peak'))} | {down} | {up} | {ratio} |")
    return "\n".join(lines)


def wall_rule(step, limit, peer, other=None):
    """pecia's wall time against a peer's (in another step)."""
    other = other or step
    return (f"{step}: wall ≤ {limit} × {peer}",
            (step, other, peer),
            lambda r: (r.median(step, "pecia", "wall") / r.median(other, peer, "wall"), limit, "×"))


def bytes_rule(step, limit):
    return (f"{step}: bytes both ways ≤ {size_text(limit)}", (step, step, "pecia"),
            lambda r: (r.bytes(step, "pecia"), limit, "B"))


def peak_rule(step, limit):
    return (f"{step}: peak memory ≤ {size_text(limit)}", (step, step, "pecia"),
            lambda r: (r.median(step, "pecia", "peak"), limit, "B"))


RULES = (
    wall_rule("publish A", 1.5, "tar+zstd"),
    wall_rule("publish again", 2, "find"),
    wall_rule("publish B", 0.12, "git"),
    wall_rule("first pull", 1.0, "rsync -a"),
    bytes_rule("first pull", 230e6),
    wall_rule("nothing changed", 0.35, "rsync -a"),
    bytes_rule("nothing changed", 6000),
    bytes_rule("nothing changed, resumed", 2500),
    wall_rule("update", 0.6, "rsync -az"),
    bytes_rule("update", 550e3),
    wall_rule("first pull, 20 ms", 1.0, "rsync -a"),
    wall_rule("nothing changed, 20 ms", 0.25, "rsync -a"),
    wall_rule("update, 20 ms", 0.5, "rsync -a"),
    peak_rule("first pull", 32e6),
    peak_rule("update", 32e6),
)


def verdicts(results, rules=RULES):
    lines = ["| must be | was | |", "|---|---|---|"]
    for text, (step, other, peer), measure in rules:
        if not results.has(step, "pecia") or not results.has(other, peer):
            lines.append(f"| {text} | not measured | |")
            continue
        was, limit, unit = measure(results)
        shown = f"{was:.2f} ×" if unit == "×" else size_text(was)
        lines.append(f"| {text} | {shown} | {'holds' if was <= limit else 'does not hold'} |")
    return "\n".join(lines)


def bar(x, y, width, height, colour):
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def label(x, y, text, anchor="start", weight="normal"):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return (f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>')


def plot(results, title):
    """Seconds, a group of bars a step; a bar longer than four times pecia's is cut off."""
    left, width, row, y = 190, 520, 18, 50
    order = []
    for step in results.steps():
        order += [p for p in results.peers(step) if p not in order]
    out = [label(10, 24, title, weight="bold")]
    for step in results.steps():
        if not results.has(step, "pecia"):
            continue
        out.append(label(10, y + 13, step, weight="bold"))
        y += row
        top = 4 * results.median(step, "pecia", "wall")
        for peer in results.peers(step):
            wall = results.median(step, peer, "wall")
            shown = min(wall / top, 1) * width
            out.append(label(left - 8, y + 13, peer, "end"))
            out.append(bar(left, y + 2, shown, row - 4, COLOURS[order.index(peer) % len(COLOURS)]))
            out.append(label(left + shown + 6, y + 13, f"{'→ ' if wall > top else ''}{wall:.2f} s"))
            y += row
        y += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{y}" '
            'font-family="sans-serif" font-size="12">'
            f'<rect width="820" height="{y}" fill="white"/>' + "".join(out) + "</svg>\n")
