// Draws blocks (see blocks.py) and reports what a person does. No framework: a tree of plain objects is compared with
// what is on the screen, and only the differences are written, so that focus, caret and scroll position stay.

const h = (tag, attrs, ...children) => ({
  tag, attrs: attrs || {}, children: children.flat(Infinity).filter((c) => c != null && c !== false && c !== ""),
})

const SVG = new Set(["svg", "path", "circle", "rect", "polyline"])

function make(node) {
  if (node.tag == null) return document.createTextNode(String(node))
  const el = SVG.has(node.tag) ? document.createElementNS("http://www.w3.org/2000/svg", node.tag) : document.createElement(node.tag)
  el._attrs = {}
  return el
}

function write(el, attrs) {
  for (const name of Object.keys(el._attrs)) if (!(name in attrs)) set(el, name, null)
  for (const [name, value] of Object.entries(attrs)) if (el._attrs[name] !== value) set(el, name, value)
  el._attrs = attrs
}

function set(el, name, value) {
  if (name.startsWith("on")) el[name] = value
  else if (name === "value" || name === "checked" || name === "indeterminate") el[name] = value ?? ""
  else if (value == null || value === false) el.removeAttribute(name)
  else el.setAttribute(name, value === true ? "" : value)
}

const fits = (dom, node) =>
  node.tag == null ? dom.nodeType === 3 : dom._attrs && dom.localName === node.tag && dom._attrs.key === node.attrs.key

function patch(parent, nodes) {
  const keyed = new Map()
  for (const dom of parent.childNodes) if (dom._attrs?.key != null) keyed.set(dom._attrs.key, dom)
  let at = parent.firstChild
  for (const node of nodes) {
    let dom = at
    const known = node.attrs?.key != null ? keyed.get(node.attrs.key) : null
    if (known && known !== at && fits(known, node)) { parent.insertBefore(known, at); dom = known }
    else if (!at || !fits(at, node)) { dom = make(node); parent.insertBefore(dom, at) }
    else at = at.nextSibling
    if (node.tag == null) { if (dom.data !== String(node)) dom.data = String(node) }
    else { patch(dom, node.children); write(dom, node.attrs) }
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next }
}

// Times are shown relative to now, with the exact one on hover.
const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [30 * 86400, 86400, "d"]]

function ago(iso) {
  const when = new Date(iso), seconds = (Date.now() - when) / 1000
  const step = STEPS.find(([limit]) => Math.abs(seconds) < limit)
  if (Math.abs(seconds) < 10) return "just now"
  if (!step) return when.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })
  const count = `${Math.floor(Math.abs(seconds) / step[1])} ${step[2]}`
  return seconds < 0 ? `in ${count}` : `${count} ago`
}

const exact = (iso) => new Date(iso).toLocaleString("en-GB", { dateStyle: "full", timeStyle: "long" })

const ICONS = {
  home: "M3 8.5 8 4l5 4.5V13H9.8v-3H6.2v3H3z",
  collections: "M2.5 5h11M2.5 5v8h11V5M4 2.8h8M6.5 8h3",
  artifacts: "M8 2.2 13 5v6l-5 2.8L3 11V5zM3 5l5 2.8L13 5M8 7.8v6",
  tracks: "M3 12.5h3.5v-4H10v-4h3.5",
  deployments: "M8 2.5c2.4 1.4 3.2 4 2.8 7H5.200c-.4-3 .4-5.600 2.800-7zM5.400 8 3.500 10.500v2L6 11M10.600 8l1.900 2.500v2L10 11",
  satellites: "M6 10 3 13M9.500 3.500l3 3-3 3-3-3zM4.500 6.500a5 5 0 0 0 5 5M2.500 9a5 5 0 0 0 4.500 4.500",
  copy: "M5.500 5.500v-3h8v8h-3M2.500 5.500h8v8h-8z",
  down: "M4.500 6.500 8 10l3.500-3.500",
  search: "M7 11.500a4.500 4.500 0 1 1 0-9 4.500 4.500 0 0 1 0 9zM10.500 10.500l3 3",
  light: "M8 5.200a2.800 2.800 0 1 1 0 5.600 2.800 2.800 0 0 1 0-5.600zM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9",
  dark: "M13 9.500A5.500 5.500 0 0 1 6.500 3 5.500 5.500 0 1 0 13 9.500z",
}
const icon = (name) => h("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, h("path", { d: ICONS[name] }))

export function render({ model, el }) {
  const root = document.createElement("div")
  const local = new Map() // what only the browser knows: which menu is open, what has just been copied
  let timer = null

  const send = (act, value) => model.send_msg({ act, value: value ?? null })
  const later = (milliseconds, work) => { clearTimeout(timer); timer = setTimeout(work, milliseconds) }
  const keep = (key, value) => { value == null ? local.delete(key) : local.set(key, value); draw() }
  const outside = (url) => { try { return new URL(url, location.href).origin !== location.origin } catch { return false } }
  // Outside the dashboard (a notebook) a link must not take the notebook's place.
  const away = (href) => (outside(href) || document.documentElement.dataset.lumlShell == null ? { target: "_blank", rel: "noopener" } : {})
  const anchor = (href, attrs, ...children) => h("a", { href, ...away(href), ...attrs }, ...children)

  async function copy(text, key) {
    try { await navigator.clipboard.writeText(text) } catch {
      const area = document.createElement("textarea")
      area.value = text; root.append(area); area.select(); document.execCommand("copy"); area.remove()
    }
    keep(key, true); setTimeout(() => keep(key, null), 1400)
  }

  // ---- cells
  function cell(value) {
    if (value == null) return missing()
    if (typeof value !== "object") return String(value)
    if (Array.isArray(value)) return value.map((one) => h("span", { class: "piece" }, cell(one)))
    if (value.missing) return missing()
    if (value.copy != null) return copyable(value)
    if (value.time) return h("time", { datetime: value.time, title: exact(value.time) }, ago(value.time))
    if (value.status) return h("span", { class: `status ${value.tone}`, title: value.title }, value.status)
    if (value.tags) return h("span", { class: "tags" }, value.tags.map((tag) => h("span", { class: "tag" }, tag)))
    if (value.items) return menu(value)
    if (value.act) return button(value)
    const text = [value.text, value.sub != null && h("span", { class: "sub" }, cell(value.sub))]
    const attrs = { title: value.title, class: [value.quiet && "quiet", value.mono && "mono", value.strong && "strong", value.clip && "clip"].filter(Boolean).join(" ") || null }
    if (value.href) return anchor(value.href, attrs, text)
    const meter = value.share != null && h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: `width:${Math.round(value.share * 100)}%` }))
    return h("span", attrs, meter, meter ? h("span", { class: "figure" }, text) : text)
  }
  const missing = () => h("span", { class: "missing", title: "not recorded", "aria-label": "not recorded" }, "–")

  function copyable({ copy: text, label, whole }) {
    const key = `copied:${text}`, short = whole ? text : text.length > 14 ? `${text.slice(0, 4)}…${text.slice(-6)}` : text
    const say = local.has(key) ? "copied" : short
    return h("button", { class: "copyable mono", title: `${text}\nCopy ${label || ""}`, "aria-label": `Copy ${label || "id"} ${text}`,
      onclick: (e) => { e.stopPropagation(); copy(text, key) } }, say, icon("copy"))
  }

  function button(one, kind = "button") {
    const attrs = { class: `${kind} ${one.tone || ""}`, title: one.hint, "aria-pressed": "active" in one ? String(!!one.active) : null }
    if (one.href) return anchor(one.href, attrs, one.label)
    return h("button", { ...attrs, type: "button", disabled: one.disabled || one.busy || null, onclick: (e) => { e.stopPropagation(); send(one.act, one.value) } },
      one.busy && h("span", { class: "spinner" }), one.label)
  }

  function menu(one, align = "") {
    const key = `menu:${one.name || one.label}`, open = local.has(key)
    return h("span", { class: `menu ${align}`, key, onkeydown: (e) => { if (e.key === "Escape") { keep(key, null) } } },
      h("button", { class: `button ${one.plain ? "plain" : ""}`, type: "button", title: one.hint, "aria-haspopup": "menu", "aria-expanded": String(open), disabled: one.disabled || null,
        onclick: (e) => { e.stopPropagation(); const was = open; closeMenus(); keep(key, was ? null : below(e.currentTarget, align)) } }, one.label, icon("down")),
      open && h("div", { class: "items", role: "menu", popover: "manual", style: local.get(key) }, one.items.map((item) => menuItem(item, key))))
  }

  // A menu lies in the browser's top layer, where no table or card can cut it off.
  function below(opener, align) {
    const box = opener.getBoundingClientRect()
    const across = align === "end" || box.left > innerWidth * 0.6 ? `right:${document.documentElement.clientWidth - box.right}px` : `left:${box.left}px`
    return box.bottom > innerHeight * 0.7 ? `${across};bottom:${innerHeight - box.top + 4}px` : `${across};top:${box.bottom + 4}px`
  }

  function menuItem(item, key) {
    if (item.title) return h("div", { class: "heading" }, item.title)
    const body = ["checked" in item && h("span", { class: `tick ${item.checked ? "on" : ""}`, "aria-hidden": "true" }), h("span", { class: "grow" }, item.label, item.note && h("span", { class: "sub" }, item.note))]
    const role = "checked" in item ? { role: "menuitemcheckbox", "aria-checked": String(!!item.checked) } : { role: "menuitem" }
    const attrs = { class: `item ${item.tone || ""} ${item.active ? "active" : ""}`, title: item.hint, ...role }
    if (item.href) return h("a", { href: item.href, ...attrs, onclick: () => keep(key, null) }, body)
    return h("button", { ...attrs, type: "button", disabled: item.disabled || null, onclick: (e) => {
      e.stopPropagation(); if (!("checked" in item)) keep(key, null); send(item.act, item.value) } }, body)
  }
  const closeMenus = () => { for (const key of [...local.keys()]) if (key.startsWith("menu:")) local.delete(key) }

  // ---- blocks
  const draws = {
    head: (b) => h("header", { class: "head" },
      b.crumbs.length > 0 && h("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, b.crumbs.map((c) => c.href ? anchor(c.href, {}, c.label) : h("span", {}, c.label))),
      h("div", { class: "line" }, h("h1", { title: b.title }, b.title), h("div", { class: "actions" }, b.actions.map((a) => (a.items ? menu(a, "end") : button(a))))),
      b.note != null && h("div", { class: "note" }, cell(b.note))),
    kpis: (b) => h("dl", { class: "kpis" }, b.items.map((k) => {
      const inner = [h("dt", {}, k.label), h("dd", { class: k.tone || "" }, k.value), k.note && h("dd", { class: "sub" }, k.note)]
      return k.href ? anchor(k.href, { class: "kpi" }, inner) : h("div", { class: "kpi" }, inner)
    })),
    bar: (b) => h("div", { class: "bar" },
      "search" in b && h("label", { class: "search" }, icon("search"), h("input", { type: "search", value: b.search, placeholder: b.placeholder, "aria-label": b.placeholder,
        "data-search": true, oninput: (e) => { const text = e.target.value; later(220, () => send("search", text)) } })),
      b.choices && h("div", { class: "choices", role: "group" }, b.choices.map((c) => button(c, "choice"))),
      (b.menus || []).map((m) => menu(m)),
      h("div", { class: "grow" }),
      b.note != null && h("span", { class: "sub", "aria-live": "polite" }, cell(b.note)),
      (b.actions || []).map((a) => button(a)),
      b.pager && h("span", { class: "pager" },
        h("button", { class: "button", type: "button", disabled: !b.pager.back || null, "aria-label": "Previous page", onclick: () => send("page", -1) }, "‹"),
        h("span", { class: "sub" }, b.pager.label),
        h("button", { class: "button", type: "button", disabled: !b.pager.forth || null, "aria-label": "Next page", onclick: () => send("page", 1) }, "›"))),
    table,
    tabs: (b) => h("div", { class: "tabs", role: "tablist" }, b.items.map((t) => h("button", { type: "button", role: "tab", "aria-selected": String(t.active), class: t.active ? "active" : "", onclick: () => send(t.act, t.value) }, t.label))),
    section: (b) => h("section", { class: "section" }, h("h2", {}, b.title, b.note && h("span", { class: "sub" }, b.note)), b.blocks.map(block)),
    columns: (b) => h("div", { class: `columns n${b.sides.length}` }, b.sides.map((side) => h("div", { class: "side" }, side.map(block)))),
    facts: (b) => h("dl", { class: "facts" }, b.items.map((f) => [h("dt", {}, f.label), h("dd", {}, cell(f.value))])),
    cards: (b) => h("div", { class: "cards" }, b.items.map((c) => anchor(c.href, { class: "card" },
      h("div", { class: "line" }, h("strong", { title: c.title }, c.title), c.status && cell(c.status)), c.note && h("p", {}, c.note), h("div", { class: "meta" }, (c.meta || []).map((m) => h("span", {}, cell(m))))))),
    code: (b) => h("figure", { class: "code" },
      h("figcaption", {}, h("span", {}, b.label || ""), h("button", { class: "button plain", type: "button", onclick: () => copy(b.text, `code:${b.text}`) }, local.has(`code:${b.text}`) ? "Copied" : "Copy")),
      h("pre", { tabindex: "0" }, h("code", {}, b.text))),
    log: (b) => h("div", { class: "log mono", key: "log", role: "log", tabindex: "0", "aria-label": "Log" }, b.lines.length === 0 && h("p", { class: "sub" }, "No lines"),
      b.lines.map((l) => h("div", { key: l.id, class: `entry ${l.stream}` }, h("time", { datetime: l.time, title: exact(l.time) }, l.clock), h("span", { class: "from" }, l.from), h("span", { class: "text" }, l.text)))),
    prose: (b) => h("p", { class: "prose" }, b.text),
    empty: (b) => h("div", { class: "empty" }, h("h2", {}, b.title), h("p", {}, b.text), b.code && draws.code({ text: b.code, label: "First step" })),
    notice: (b) => h("div", { class: `notice ${b.tone}`, role: "alert" }, h("div", { class: "grow" }, h("strong", {}, b.title), h("p", {}, b.text)), b.action && button(b.action)),
    skeleton: (b) => h("div", { class: "skeleton", "aria-busy": "true", "aria-label": "Loading" }, Array.from({ length: b.rows }, (_, i) => h("span", { style: `width:${[92, 78, 85, 66][i % 4]}%` }))),
    form,
    nav: (b) => h("nav", { class: "nav", "aria-label": "Sections" }, b.items.map((i) => i.title
      ? h("div", { class: "heading" }, i.title)
      : anchor(i.href, { class: i.active ? "active" : "", "aria-current": i.active ? "page" : null }, icon(i.icon), i.label))),
    top: (b) => h("div", { class: "top" }, anchor(b.home, { class: "brand" }, "LUML"), b.menus.map((m) => menu({ ...m, plain: true })), h("div", { class: "grow" }), themeButton(), b.account && menu({ ...b.account, plain: true }, "end")),
  }
  const block = (b) => (draws[b.kind] ? draws[b.kind](b) : null)

  function themeButton() {
    const dark = isDark()
    return h("button", { class: "button plain", type: "button", title: dark ? "Switch to light" : "Switch to dark", "aria-label": dark ? "Switch to light" : "Switch to dark", onclick: () => {
      const theme = isDark() ? "light" : "dark"
      document.documentElement.dataset.theme = theme
      try { localStorage.setItem("luml-theme", theme) } catch { /* a browser that stores nothing */ }
    } }, icon(dark ? "light" : "dark"))
  }

  function table(b) {
    const chosen = b.rows.filter((r) => r.selected).length
    const all = b.rows.length > 0 && chosen === b.rows.length
    const sorted = (c) => (b.sort && b.sort[0] === c.key ? b.sort[1] : null)
    const headCell = (c) => h("th", { scope: "col", class: c.numeric ? "number" : "", style: c.width ? `width:${c.width}` : null, title: c.hint,
      "aria-sort": sorted(c) ? (sorted(c) === "asc" ? "ascending" : "descending") : null },
      c.sort ? h("button", { type: "button", onclick: () => send("sort", c.key) }, h("span", {}, c.label), h("span", { class: "arrow", "aria-hidden": "true" }, sorted(c) ? (sorted(c) === "asc" ? "↑" : "↓") : "")) : c.label)
    const box = (checked, some, label, value) => h("td", { class: "box", onclick: (e) => e.stopPropagation() }, h("label", {}, h("input", { type: "checkbox", checked, indeterminate: some, "aria-label": label, onchange: (e) => send("select", { ...value, on: e.target.checked }) })))
    return h("div", { class: `table ${b.busy ? "busy" : ""}`, tabindex: "-1" }, h("table", { "aria-label": b.label, "aria-busy": String(!!b.busy) },
      h("thead", {}, h("tr", {}, b.select && box(all, chosen > 0 && !all, "Select all rows of this page", { ids: b.rows.map((r) => r.id) }), b.columns.map(headCell))),
      h("tbody", {}, b.rows.map((r) => h("tr", { key: r.id, class: [r.selected && "selected", (r.href || r.act) && "opens"].filter(Boolean).join(" "), "aria-selected": b.select ? String(!!r.selected) : null, onclick: (e) => open(r, e) },
        b.select && box(!!r.selected, false, `Select ${r.label || r.id}`, { ids: [r.id] }),
        r.cells.map((value, i) => h("td", { class: `${b.columns[i]?.numeric ? "number" : ""} ${b.columns[i]?.main ? "main" : ""}` }, cell(value))))))))
  }

  function open(r, event) {
    const onControl = event.composedPath().some((n) => ["A", "BUTTON", "INPUT", "LABEL"].includes(n.tagName))
    if (onControl || String(getSelection())) return
    if (r.act) send(r.act, r.value ?? r.id)
    else if (r.href) event.currentTarget.querySelector("a[href]")?.click()
  }

  function form(b) {
    const gather = (element) => Object.fromEntries([...element.querySelectorAll("[name]")].map((i) => [i.name, i.type === "checkbox" ? i.checked : i.value]))
    return h("form", { class: "form", novalidate: true, onsubmit: (e) => { e.preventDefault(); send(b.submit.act, gather(e.target)) } },
      h("div", { class: "fields" }, b.fields.map((f) => input(f, b.name))),
      h("div", { class: "actions" }, h("button", { class: `button primary`, type: "submit", disabled: b.submit.disabled || b.submit.busy || null, title: b.submit.hint }, b.submit.busy && h("span", { class: "spinner" }), b.submit.label), b.more.map((a) => button(a))))
  }

  function input(f, prefix) {
    const id = `${prefix}-${f.name}`, shared = { id, name: f.name, "aria-invalid": f.error ? "true" : null, "aria-describedby": f.error || f.hint ? `${id}-hint` : null }
    const kinds = {
      select: () => h("select", shared, f.options.map((o) => h("option", { value: o, selected: o === f.value || null }, o))),
      boolean: () => h("select", shared, ["true", "false"].map((o) => h("option", { value: o, selected: o === String(f.value) || null }, o))),
      json: () => h("textarea", { ...shared, class: "mono", rows: f.rows || 3, spellcheck: "false", value: f.value ?? "" }),
    }
    const control = (kinds[f.type] || (() => h("input", { ...shared, type: f.type === "password" ? "password" : "text", inputmode: f.type === "number" ? "decimal" : null, autocomplete: "off", spellcheck: "false", placeholder: f.placeholder, value: f.value ?? "" })))()
    return h("div", { class: `field ${f.type === "json" ? "wide" : ""}`, key: id }, h("label", { for: id }, f.label, f.note && h("span", { class: "sub" }, f.note)), control, (f.error || f.hint) && h("span", { id: `${id}-hint`, class: f.error ? "error" : "sub" }, f.error || f.hint))
  }

  // ---- life
  function isDark() {
    const { jpThemeLight, vscodeThemeKind } = document.body.dataset
    if (vscodeThemeKind) return vscodeThemeKind !== "vscode-light"
    if (jpThemeLight != null) return jpThemeLight === "false"
    return document.documentElement.dataset.theme === "dark"
  }
  function draw() {
    root.className = `luml ${isDark() ? "dark" : ""} ${model.layout || ""}`
    const read = new Set([...root.querySelectorAll(".log")].filter((log) => log.scrollHeight - log.scrollTop - log.clientHeight > 8))
    patch(root, model.blocks.map(block).filter(Boolean))
    for (const log of root.querySelectorAll(".log")) if (!read.has(log)) log.scrollTop = log.scrollHeight
    for (const items of root.querySelectorAll("[popover]")) if (items.isConnected && !items.matches(":popover-open")) items.showPopover()
  }
  const elsewhere = (e) => { if (!e.composedPath().includes(root) && [...local.keys()].some((k) => k.startsWith("menu:"))) { closeMenus(); draw() } }
  root.addEventListener("click", (e) => { if (!e.composedPath().some((n) => n.classList?.contains("menu"))) { closeMenus(); draw() } })
  const moved = (e) => { if (![...(e.composedPath?.() || [])].some((n) => n.classList?.contains("items")) && [...local.keys()].some((k) => k.startsWith("menu:"))) { closeMenus(); draw() } }
  document.addEventListener("click", elsewhere, true)
  document.addEventListener("scroll", moved, true)
  const observer = new MutationObserver(draw)
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] })
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] })
  const clock = setInterval(draw, 20000)
  model.on("blocks", draw)
  model.on("remove", () => { clearInterval(clock); observer.disconnect(); document.removeEventListener("click", elsewhere, true); document.removeEventListener("scroll", moved, true) })
  draw()
  return root
}
