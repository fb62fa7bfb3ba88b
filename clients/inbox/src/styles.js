// How the element looks. What may be changed from outside are the variables on `:host` and the parts.

import { css, sheetOf } from "./dom.js";

const CSS = css`
:host{color-scheme:light dark;--accent:var(--tidings-accent,light-dark(#0a6b63,#62d2c2));--on-accent:var(--tidings-on-accent,light-dark(#fff,#06231f));--surface:var(--tidings-surface,light-dark(#fff,#17191d));--text:var(--tidings-text,light-dark(#15191e,#eceef0));--muted:var(--tidings-muted,light-dark(#5a6470,#9ca6b1));--line:var(--tidings-line,light-dark(#e6e8eb,#2b2f36));--hover:var(--tidings-hover,light-dark(#f4f6f7,#202429));display:inline-block;font:14px/1.45 var(--tidings-font,system-ui,sans-serif);color:var(--text)}
:host([theme=light]){color-scheme:light}
:host([theme=dark]){color-scheme:dark}
:host([inline]){display:block}
:host([hidden]),[hidden]{display:none!important}
*{box-sizing:border-box}
button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
:focus-visible,.title:focus-visible::after{outline:2px solid var(--accent);outline-offset:-2px}
svg{display:block;width:20px;flex:none;fill:none;stroke:currentColor;stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.bell{anchor-name:--bell;position:relative;min-width:40px;height:40px;border-radius:20px}
.bell svg{width:23px}
.bell:hover,.tool:hover,.strip,.sign,.action:first-child,.count{background:color-mix(in srgb,currentColor 12%,#0000)}
.badge{position:absolute;top:2px;inset-inline-start:21px;min-width:18px;padding-inline:5px;border-radius:9px;font-size:11px;line-height:18px;font-weight:650;text-align:center;color:#fff;background:var(--tidings-badge,#cf3319);box-shadow:0 0 0 2px var(--surface)}
.panel{position:relative;display:flex;flex-direction:column;width:var(--tidings-width,400px);height:var(--tidings-height,600px);padding:0;color:inherit;background:var(--surface);border:1px solid var(--line);border-radius:var(--tidings-radius,14px);overflow:hidden;outline:0}
:host([inline]) .panel{width:auto}
[popover]{position:fixed;inset:56px 8px auto auto;margin:0;position-area:block-end span-inline-start;position-try:most-block-size flip-inline,flip-block,flip-block flip-inline;animation:appear .16s;box-shadow:0 8px 20px #00000014,0 20px 50px #00000024}
[popover]:not(:popover-open){display:none}
.panel[popover]{position-anchor:--bell;max-height:calc(100% - 16px);margin-block:8px}
@supports (position-area:end){[popover]{inset:auto}}
.head{display:flex;align-items:center;gap:2px;padding-block:14px 6px;padding-inline:18px 10px}
h2{margin:0;flex:1;font-size:17px;line-height:32px;font-weight:650}
.tool{width:32px;height:32px;border-radius:8px;color:var(--muted)}
.tool:hover,.tab:hover{color:var(--text)}
.tabs{display:flex;gap:20px;padding-inline:18px;border-bottom:1px solid var(--line);overflow-x:auto;scrollbar-width:none;flex:none}
.tab{padding-block:8px 10px;color:var(--muted);font-weight:550;white-space:nowrap}
[aria-selected=true]{color:var(--text);border-bottom:2px solid var(--accent);padding-bottom:8px}
.count{margin-inline-start:6px;padding:1px 6px;border-radius:9px;font-size:12px}
.strip{display:flex;align-items:center;gap:10px;padding:8px 18px;font-size:13px}
.strip span{flex:1}
.retry,.action{padding:5px 13px;border-radius:8px;font-size:13px;font-weight:600;color:inherit;text-decoration:none;border:1px solid var(--line)}
.body{position:relative;flex:1;min-height:0}
.scroll{height:100%;overflow-y:auto;overscroll-behavior:contain;overflow-anchor:none;scrollbar-width:thin}
.feed{position:relative}
.message{position:absolute;inset-inline:0;display:flex;gap:12px;padding:13px 18px 14px;border-bottom:1px solid var(--line)}
.message:hover,.message:focus-within{background:var(--hover)}
.sign,.tool,.bell{display:grid;place-items:center;flex:none}
.sign{width:36px;height:36px;border-radius:11px;color:var(--accent);position:relative}
.strip,.warning .sign{color:var(--tidings-warning,light-dark(#8f5408,#f0b860))}
.success .sign{color:var(--tidings-success,light-dark(#1c7a3e,#6fd394))}
.critical .sign{color:var(--tidings-critical,light-dark(#bf2a1d,#ff8f80))}
.new .sign::after{content:"";position:absolute;top:-3px;inset-inline-end:-3px;padding:4px;border-radius:9px;background:var(--accent);border:2px solid var(--surface)}
.text{flex:1;min-width:0}
.line{display:flex;gap:10px;align-items:baseline}
.title,.content{unicode-bidi:plaintext;overflow-wrap:anywhere;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}
.title{flex:1;color:inherit;text-decoration:none;text-align:start;font-weight:500;outline:0}
.new .title{font-weight:650}
.title::after{content:"";position:absolute;inset:0}
time,.until,.tail{font-size:12px;color:var(--muted)}
.until{display:flex;gap:5px;margin-top:4px}
.content{margin:2px 0 0;color:var(--muted);white-space:pre-line}
.actions{display:flex;flex-wrap:wrap;gap:8px;margin-top:10px}
.action{position:relative;max-width:100%;overflow-wrap:anywhere}
.action:first-child,.count{color:var(--accent);border-color:#0000}
.newer{color:var(--on-accent);background:var(--accent)}
.action[aria-pressed=true]{color:var(--muted);background:none}
.tools{position:absolute;top:7px;inset-inline-end:12px;display:flex;padding:2px;border-radius:10px;background:var(--surface);border:1px solid var(--line);opacity:0}
[aria-haspopup=menu] svg{stroke-width:2.6}
.tools .tool{width:28px;height:28px}
.tools svg,.until svg{width:17px}
.message:hover .tools,.message:focus-within .tools{opacity:1}
@media (hover:none){.tools{position:relative;inset:auto;align-self:start;margin:-7px -10px;opacity:1;border:0;background:none}
.quick{display:none}}
.note,.bones{position:absolute;inset:0;overflow:hidden}
.note,.note slot{display:grid;place-content:center;justify-items:center;gap:4px;text-align:center;color:var(--muted)}
.note b{color:var(--text);font-size:15px;font-weight:600}
.note .sign{width:60px;height:60px;border-radius:20px;margin-bottom:12px}
.note .retry{margin-top:12px;color:var(--accent)}
.bones i{display:block;margin:18px;height:52px;border-radius:11px;background:var(--hover);animation:breathe 1s infinite alternate}
.newer,.toast{position:absolute;inset-inline:0;width:fit-content;margin-inline:auto;padding:8px 16px;border-radius:18px;font-weight:600;font-size:13px;animation:appear .16s;box-shadow:0 4px 14px #0003}
.newer{top:10px}
.toast{bottom:14px;color:var(--surface);background:var(--text)}
.tail{padding:16px;text-align:center}
@keyframes appear{from{opacity:0;translate:0 -6px}}
@keyframes breathe{to{opacity:.4}}
@media (max-width:480px){.panel[popover]{position-area:none;inset:0;margin:0;width:100vw;height:100dvh;max-height:none;border:0;border-radius:0}}
@media (prefers-reduced-motion){*,::before,::after{animation:none!important}}
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/** The style of every element of a page. */
export const styles = () => (sheet ??= sheetOf(CSS));
