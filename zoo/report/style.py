"""The style sheet of a report: calm, light or dark as the reader's system is, from 320 pixels up."""

STYLE = """
:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1d2025;--soft:#5c626c;--rule:#e4e4df;--zero:#b9bab4;
--accent:#0b5cad;--learns:#0b7268;--learns-page:#e2f3ee;--warn:#8a4b00;--warn-page:#fff6e5;--warn-rule:#f0d9a8;
--c0:#0b62c4;--c1:#b4500b;--c2:#0b7268;--c3:#a8327f;--c4:#6a3fc7;--c5:#4c7410;--c6:#b8233c;--c7:#4d5a6d}
@media (prefers-color-scheme:dark){:root{--page:#131518;--card:#1b1e22;--ink:#e7e8ea;--soft:#a0a6b0;--rule:#2c3036;
--zero:#565c66;--accent:#7ab8ff;--learns:#62d6c2;--learns-page:#14332f;--warn:#f3c77d;--warn-page:#2a2216;
--warn-rule:#524224;
--c0:#6cb2ff;--c1:#f2a25c;--c2:#4fd0be;--c3:#f08cc9;--c4:#b7a0ff;--c5:#a5d266;--c6:#ff8b97;--c7:#aab6c6}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:16px}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1400px;margin:0 auto;padding:40px 24px 72px}
h1{font-size:32px;line-height:1.15;letter-spacing:-.02em;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:18px;letter-spacing:-.005em;margin:44px 0 14px;font-weight:620}
h3{font-size:15px;margin:0;font-weight:620}
p{margin:0 0 12px}
a{color:var(--accent)}
.none,.about,.legend{color:var(--soft)}
.about{margin:0;overflow-wrap:anywhere}
.legend{font-size:13px;margin:12px 2px 0}
.card>.legend{margin:0;padding:10px 18px 12px;border-top:1px solid var(--rule)}
pre,code{font:13px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{margin:0;padding:16px 18px;overflow:auto;max-height:480px;tab-size:2;color:var(--soft)}
pre b{font-weight:400;color:var(--ink)}
.card,.chart,.notes li{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.card{overflow:hidden}
:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
.facts{display:flex;flex-wrap:wrap;gap:14px 44px;margin:22px 0 0}
.facts dt{color:var(--soft);font-size:13px}
.facts dd{margin:0;font-size:20px;font-weight:560;letter-spacing:-.01em;white-space:nowrap}
nav{display:flex;flex-wrap:wrap;gap:4px 22px;margin:24px 0 0;padding:10px 0 0;border-top:1px solid var(--rule);
font-size:14px}
nav a{text-decoration:none;padding:3px 0}
nav a:hover{text-decoration:underline}
.notes{list-style:none;margin:24px 0 0;padding:0;display:grid;gap:8px}
.notes li{background:var(--warn-page);border-color:var(--warn-rule);padding:10px 14px 10px 40px;position:relative;
overflow-wrap:anywhere}
.notes li::before{content:"!";position:absolute;left:14px;top:12px;width:16px;height:16px;border-radius:50%;
background:var(--warn);color:var(--warn-page);font:700 12px/16px system-ui,sans-serif;text-align:center}
figure{margin:0}
.galleries{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,640px),1fr));gap:16px}
.long{grid-column:1/-1}
figcaption p{color:var(--soft);font-size:13px;line-height:1.45;margin:0}
figcaption h3+p{margin-top:2px}
.card>figcaption{padding:12px 12px 10px}
.block{padding:0 12px 12px}
.labelled .block{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 10px;align-items:center}
.block>span{font-size:13px;line-height:1.2;color:var(--soft);max-width:92px;overflow-wrap:anywhere}
.block+.block{padding-top:4px}
img{display:block;max-width:100%;height:auto;image-rendering:pixelated}
img.fine{image-rendering:auto}
.film{list-style:none;margin:0;padding:2px 12px 14px;display:grid;gap:14px 16px;
grid-template-columns:repeat(auto-fill,minmax(96px,130px))}
.film span{display:block;margin-top:6px;font-size:13px;color:var(--soft)}
.film b{font-weight:560;color:var(--ink)}
.charts{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));align-items:start}
.chart{padding:0 16px 12px;min-width:0;font-size:13px}
.chart figcaption{padding:12px 0 18px;font-size:15px;font-weight:620;overflow-wrap:anywhere}
.band,.steps{display:grid;grid-template-columns:var(--ticks) minmax(0,1fr) min(var(--names),44%);gap:0 10px}
.band{grid-template-rows:var(--high);margin-bottom:22px;touch-action:pan-y}
.band svg{width:100%;height:var(--high);display:block;overflow:visible;grid-column:2;grid-row:1}
.band path{fill:none;stroke:currentColor;stroke-width:1.75;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.band .rule{color:var(--rule);stroke-width:1}
.band .zero{color:var(--zero);stroke-width:1}
.band .spread{fill:currentColor;stroke:none;opacity:.16}
.band .raw{stroke-width:1;opacity:.3}
.band .dot{stroke-width:5.5;stroke-linecap:round}
.dashed .line{stroke-dasharray:5 3}
.plot{grid-column:2;grid-row:1;position:relative;pointer-events:none}
.cursor{position:absolute;top:0;bottom:0;width:1px;margin-left:-.5px;background:var(--soft)}
.ticks,.names{position:relative}
.ticks>span,.names>span{position:absolute;white-space:nowrap;line-height:18px;margin-top:-9px}
.ticks>span{right:0;color:var(--soft);font-size:12px}
.names>span{left:0;display:flex;gap:.5em;max-width:100%}
.names>span>span{overflow:hidden;text-overflow:ellipsis}
.names b{font-weight:650}
.beyond{position:absolute;top:-17px;right:0;color:var(--soft);font-size:12px;line-height:16px;white-space:nowrap}
.steps{color:var(--soft);height:18px;margin-top:-14px}
.steps i,.steps span{font-style:normal;font-size:12px;text-align:right}
.steps div{position:relative}
.steps span,.at{position:absolute;transform:translateX(-50%)}
.at{background:var(--ink);color:var(--card);border-radius:4px;padding:0 6px;font-size:12px;line-height:18px;
font-weight:560}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}
.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:9px 18px;vertical-align:baseline;border-top:1px solid var(--rule);font-weight:400;
overflow-wrap:anywhere}
thead th{color:var(--soft);font-size:13px}
thead tr:first-child th,thead:empty+tbody tr:first-child>*{border-top:0}
tbody th{font-weight:560}
abbr{text-decoration:none;color:var(--soft);font-weight:400}
.value{text-align:right;white-space:nowrap;font-weight:560}
.scores th:first-child{width:22%}.scores .value{width:14%}thead .value{font-weight:400}
.bad{color:var(--warn);font-weight:560}
.wide{overflow-x:auto}
.wide th,.wide td{overflow-wrap:normal}
.packages td:last-child{min-width:260px}
.routes td:nth-child(3){min-width:200px}
.passes,.stops,.nothing{color:var(--soft)}
.learns span{background:var(--learns-page);color:var(--learns);border-radius:5px;padding:2px 8px;margin:0 -8px;
font-weight:560}
summary{cursor:pointer;color:var(--soft)}
summary:hover{color:var(--ink)}
.fold>summary{padding:12px 18px}
.fold[open]>summary{border-bottom:1px solid var(--rule)}
.protocol{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:3px 18px;margin:8px 0 4px;font-size:13px}
.protocol+p{margin:10px 0 0;color:var(--soft);font-size:13px}
.protocol dt{color:var(--soft)}
.protocol dd{margin:0;overflow-wrap:anywhere}
.versions{display:flex;flex-wrap:wrap;gap:8px 36px;margin:0;padding:14px 18px;font-size:14px}
.versions div{display:flex;gap:8px}
.versions dt{color:var(--soft)}
.versions dd{margin:0;font-weight:560;overflow-wrap:anywhere}
.versions+.wide{border-top:1px solid var(--rule)}
@media (max-width:700px){img{image-rendering:auto}}
@media (max-width:640px){main{padding:24px 14px 48px}h1{font-size:26px}h2{margin-top:34px}.facts{display:grid;
grid-template-columns:1fr 1fr;gap:10px 16px}
.facts dd{font-size:17px}pre{padding:13px 14px;font-size:12px}th,td{padding:9px 14px}.chart{padding:0 12px 10px}
.labelled .block{grid-template-columns:minmax(0,1fr);gap:3px}.block>span{max-width:none;margin-top:6px}
.band{grid-template:auto var(--high)/var(--ticks) minmax(0,1fr)}
.steps{grid-template-columns:var(--ticks) minmax(0,1fr)}
.band>.ticks,.band>svg,.band>.plot{grid-row:2}
.names{grid-area:1/2;display:flex;flex-wrap:wrap;gap:0 16px;margin-bottom:8px}
.names>span{position:static;margin:0}.band:has(.beyond) .names{margin-bottom:20px}
.chart figcaption{padding-bottom:8px}
.film{grid-template-columns:repeat(3,minmax(0,1fr));gap:12px}
.scores thead{display:none}.scores tr{display:grid;grid-template-columns:1fr auto;border-top:1px solid var(--rule)}
.scores tr:first-child{border-top:0}.scores th,.scores td{border:0;width:auto!important}
.scores td:last-child{grid-column:1/-1;padding-top:0}.protocol{gap:2px 12px}}
@media print{body{background:none}nav{display:none}pre{max-height:none;white-space:pre-wrap}
.chart,.gallery,tr,.film li{break-inside:avoid}h2{break-after:avoid}
details::details-content{content-visibility:visible;block-size:auto}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
"""
