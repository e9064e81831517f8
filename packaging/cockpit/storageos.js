/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of Cockpit: what `storageos` prints with --json, and attach and detach.  Names and descriptions come
 * from users: they get into the page as text nodes only.
 */
/* global cockpit */
"use strict";

const PAUSE = 3000; /* ms from one refresh to the next */
const WELL = ["attached", "detached", "in use"];
const LESS = ["full", "unwatched"]; /* states in which no data is at risk */
const COLUMNS = ["Volume", "State", "Device", "Size", "Reads", "Writes", "Snapshots", "Health", "Action"];

const pending = new Map(); /* by volume: what is being done with it */
const refusals = new Map(); /* by volume: why that failed */
let samples = new Map(); /* by volume: its statistics, and when they were taken */
const administrator = cockpit.permission({ admin: true });
let shown = null; /* what the page shows: {pools, volumes} */

/* ---- the command */

/* What a command prints, be it all or, as it has failed, a part. */
async function ask(...words) {
	let text = "";

	try {
		await cockpit.spawn(["storageos", ...words, "--json"], { superuser: "try", err: "message" })
			.stream(part => { text += part; });
	} catch (error) {
		if (!text)
			throw new Error(error.problem === "not-found" ? "the command storageos is not installed"
				: cockpit.message(error));
	}
	return JSON.parse(text);
}

/* Requests and bytes a second since the sample before, of the same server; null if there is none. */
function rate(before, now, operation) {
	if (!before || before.pid !== now.pid || before.served_seconds > now.served_seconds)
		return null;
	const [a, b] = [before.operations[operation], now.operations[operation]];
	const seconds = (now.taken - before.taken) / 1000;

	return { requests: (b.count - a.count) / seconds, bytes: (b.bytes - a.bytes) / seconds };
}

/* Adds the statistics of each volume that is served. */
function addStatistics(volumes, statistics) {
	const before = samples;

	samples = new Map();
	for (const now of statistics) {
		const volume = volumes.get(now.volume);

		samples.set(now.volume, Object.assign(now, { taken: performance.now() }));
		if (!volume)
			continue;
		volume.statistics = now;
		volume.rates = {
			read: rate(before.get(now.volume), now, "read"),
			write: rate(before.get(now.volume), now, "write"),
		};
	}
}

/* `status` also has attached snapshots, and volumes whose files are missing. */
async function collect() {
	const [pools, list, status, statistics] =
		await Promise.all([ask("pool", "list"), ask("list"), ask("status"), ask("stats")]);
	const volumes = new Map(list.map(volume => [volume.volume, volume]));

	for (const volume of status)
		volumes.set(volume.volume, Object.assign(volumes.get(volume.volume) || {}, volume));
	addStatistics(volumes, statistics);
	return { pools, volumes: [...volumes.values()].sort((a, b) => a.volume < b.volume ? -1 : 1) };
}

/* ---- elements */

/* Children that are strings become text. */
function element(tag, attributes, ...children) {
	const made = document.createElement(tag);

	for (const name in attributes)
		made.setAttribute(name, attributes[name]);
	made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== ""));
	return made;
}

function small(text) {
	return text ? element("small", {}, text) : null;
}

/* Makes the children of `parent` those of `fresh`, which have keys.  What has not changed is left alone, so
 * that selections stay; the focus goes on to the button that takes the place of its own. */
function update(parent, fresh) {
	const keys = new Set(fresh.map(item => item.dataset.key));
	const old = new Map();
	let at;

	for (const item of [...parent.children])
		keys.has(item.dataset.key) ? old.set(item.dataset.key, item) : item.remove();
	at = parent.firstElementChild;
	for (const item of fresh) {
		const kept = old.get(item.dataset.key);

		if (kept === at && kept)
			at = at.nextElementSibling;
		else
			parent.insertBefore(kept || item, at);
		if (kept)
			updateParts(kept, item);
	}
}

function updateParts(kept, item) {
	const fresh = [...item.children], old = [...kept.children];

	kept.className = item.className;
	fresh.forEach((part, i) => {
		if (!old[i])
			kept.append(part);
		else if (!old[i].isEqualNode(part)) {
			const focused = old[i].contains(document.activeElement);

			old[i].replaceWith(part);
			if (focused && part.querySelector("button"))
				part.querySelector("button").focus();
		}
	});
	old.slice(fresh.length).forEach(part => part.remove());
}

function sizeText(bytes) {
	const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
	let i = 0;

	for (; bytes >= 1024 && i + 1 < units.length; i++)
		bytes /= 1024;
	return `${i && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}

function countText(count, noun) {
	return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function bar(label, percent, severity) {
	const full = element("div", { class: severity });

	full.style.width = `${Math.min(percent, 100)}%`;
	return element("div", { class: "bar" }, element("span", {}, label), element("div", { role: "meter",
		"aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.min(Math.round(percent), 100) },
	full));
}

/* ---- what is not well */

function poolAlerts(pool) {
	const alerts = [], add = (severity, text) => alerts.push({ severity, text: `pool ${pool.pool}: ${text}` });

	if (!pool.ready)
		add("danger", pool.problem || pool.state);
	else if (pool.problem)
		add("warning", pool.problem);
	if (pool.mark)
		add(pool.mark < 95 ? "warning" : "danger", `${pool.percent} % of ${sizeText(pool.size)} are taken, ` +
			`${sizeText(pool.free)} are free (warn=${pool.mark})`);
	if (pool.promised > pool.size)
		add("warning", `its volumes may grow to ${sizeText(pool.promised)} together, and it has ${sizeText(pool.size)}`);
	return alerts;
}

function volumeAlerts(volume) {
	const alerts = [], add = (severity, text) => alerts.push({ severity, text: `${volume.volume}: ${text}` });

	if (!WELL.includes(volume.state))
		add(LESS.includes(volume.state) ? "warning" : "danger",
			[volume.state, volume.problem || volume.failure].filter(Boolean).join(": "));
	for (const text of new Set([volume.error, volume.trouble]))
		if (text)
			add("danger", text);
	if (volume.checksum_errors)
		add("danger", countText(volume.checksum_errors, "checksum error"));
	if (volume.scrub_errors)
		add("danger", `the last scrub found ${countText(volume.scrub_errors, "error")}`);
	return alerts;
}

function alertItem({ severity, text }) {
	return element("li", { class: severity, "data-key": severity + text },
		element("strong", {}, severity === "danger" ? "Error" : "Warning"), " ", element("span", {}, text));
}

function showAlerts(error) {
	const alerts = shown ? [...shown.pools.flatMap(poolAlerts), ...shown.volumes.flatMap(volumeAlerts)] : [];

	if (error)
		alerts.unshift({ severity: "danger", text: administrator.allowed === false
			? `administrative access is needed (“Limited access” in Cockpit): ${error.message}` : error.message });
	update(document.getElementById("alerts"), alerts.length ? alerts.map(alertItem)
		: [element("li", { class: "well", "data-key": "" }, element("span", {}, "All pools and volumes are well."))]);
}

/* ---- pools and volumes */

function badge(state) {
	const severity = [...WELL, "ready"].includes(state) ? state : LESS.includes(state) ? "warning" : "danger";

	return element("span", { class: `badge ${severity.replace(" ", "-")}` }, state);
}

function poolCard(pool) {
	const promised = Math.round(pool.promised * 100 / pool.size);

	return element("article", { "data-key": pool.pool },
		element("h3", {}, pool.pool, " ", badge(pool.state)),
		element("p", { class: "path" }, pool.directory || `Ceph: ${pool.rbd}`),
		pool.problem ? element("p", { class: "problem" }, pool.problem) : null,
		pool.size === undefined ? null : [
			bar(`${pool.percent} % taken, ${sizeText(pool.free)} of ${sizeText(pool.size)} free`,
				pool.percent, pool.mark >= 95 ? "danger" : pool.mark ? "warning" : ""),
			pool.promised === undefined ? null : bar(`${promised} % promised, ${sizeText(pool.promised)}`, promised,
				promised > 100 ? "warning" : ""),
			element("p", {}, [pool.volumes !== undefined && countText(pool.volumes, "volume"),
				pool.used !== undefined && `${sizeText(pool.used)} used`,
				pool.quota && `quota ${sizeText(pool.quota)}`].filter(Boolean).join(", ")),
		]);
}

function rateParts(volume, operation) {
	const rates = volume.rates && volume.rates[operation];
	const limit = (volume.statistics && volume.statistics.limits[operation]) || {};

	return [
		rates ? element("span", { class: "rate" }, `${Math.round(rates.requests)}/s`) : "–",
		rates ? element("span", { class: "rate" }, `${sizeText(rates.bytes)}/s`) : null,
		small(limit.iops && `limit ${limit.iops}/s`),
		small(limit.bytes && `limit ${sizeText(limit.bytes)}/s`),
		small(limit.waiting && `${limit.waiting} waiting`),
	];
}

function healthParts(volume) {
	const scrub = volume.scrub_time;

	return [
		volume.checksum_errors ? element("strong", {}, countText(volume.checksum_errors, "checksum error"))
			: volume.checksum_errors === undefined ? "" : "no checksum errors",
		scrub === undefined ? null : small(!scrub ? "never scrubbed"
			: `scrubbed ${new Date(scrub * 1000).toLocaleDateString()}: ${countText(volume.scrub_errors, "error")}`),
	];
}

function actionParts(volume) {
	const verbs = { "in use": [], missing: [], detached: ["attach"], broken: ["attach", "detach"] }[volume.state] ||
		["detach"];
	const doing = pending.get(volume.volume);

	return [
		volume.error ? [] : verbs.map(verb => element("button", {
			type: "button", "data-verb": verb, "data-volume": volume.volume,
			"aria-label": `${verb} ${volume.volume}`, "aria-disabled": Boolean(doing),
		}, doing === verb ? `${verb}ing…` : verb)),
		refusals.has(volume.volume) ? element("p", { class: "problem", role: "alert" }, refusals.get(volume.volume)) : null,
	];
}

function volumeRow(volume) {
	const cells = [
		[element("strong", {}, volume.volume), small(volume.properties && volume.properties.description),
			small(volume.base && `linked clone of ${volume.base}`)],
		[badge(volume.state), small(volume.problem)],
		[volume.link || volume.device || "–",
			small(volume.frontend && (volume.read_only ? "read-only " : "") + `over ${volume.frontend.toUpperCase()}` +
				(volume.device && volume.link ? `, ${volume.device}` : ""))],
		volume.size === undefined ? ["–"]
			: [sizeText(volume.size), bar(`${sizeText(volume.allocated)} used`, volume.allocated * 100 / volume.size, "")],
		rateParts(volume, "read"),
		rateParts(volume, "write"),
		[volume.statistics && volume.statistics.snapshots ? String(volume.statistics.snapshots.count) : "–"],
		healthParts(volume),
		actionParts(volume),
	];

	return element("tr", { "data-key": volume.volume },
		cells.map((parts, i) => element(i ? "td" : "th", i ? { "data-label": COLUMNS[i] } : { scope: "row" }, ...parts)));
}

function show() {
	if (!shown)
		return;
	update(document.getElementById("pools"), shown.pools.map(poolCard));
	update(document.getElementById("volumes"), shown.volumes.map(volumeRow));
}

/* ---- life */

let timer = 0, running = null;

function refresh() {
	clearTimeout(timer);
	running = running || collect()
		.then(found => {
			shown = found;
			show();
			showAlerts(null);
			document.getElementById("updated").textContent = `Updated ${new Date().toLocaleTimeString()}.`;
		})
		.catch(showAlerts)
		.finally(() => {
			running = null;
			if (!cockpit.hidden)
				timer = setTimeout(refresh, PAUSE);
		});
	return running;
}

async function act(verb, volume) {
	if (pending.has(volume))
		return;
	pending.set(volume, verb);
	refusals.delete(volume);
	show();
	try {
		await cockpit.spawn(["storageos", verb, volume], { superuser: "try", err: "message" });
	} catch (error) {
		refusals.set(volume, cockpit.message(error));
	}
	await running; /* what began before does not know */
	await refresh();
	pending.delete(volume);
	show();
}

/* As the other pages do: the style that is chosen in Cockpit's menu. */
function followStyle() {
	const style = localStorage.getItem("shell:style") || "auto";

	document.documentElement.classList.toggle("dark", style === "dark" ||
		(style === "auto" && matchMedia("(prefers-color-scheme: dark)").matches));
}

document.getElementById("volumes").addEventListener("click", event => {
	const button = event.target.closest("button");

	if (button)
		act(button.dataset.verb, button.dataset.volume);
});
cockpit.addEventListener("visibilitychange", () => cockpit.hidden || refresh());
window.addEventListener("storage", followStyle);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", followStyle);
followStyle();
refresh();
