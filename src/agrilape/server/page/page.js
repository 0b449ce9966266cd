"use strict";

const RAMP = ["interpolate", ["linear"], ["get", "confidence"],
  0, "#440154", 0.25, "#3b528b", 0.5, "#21918c", 0.75, "#5ec962", 1, "#fde725"];
const byId = (id) => document.getElementById(id);
const nothing = () => ({ type: "FeatureCollection", features: [] });
const state = { info: null, answers: nothing(), job: null, place: null, marker: null, key: "" };

const map = new maplibregl.Map({
  container: "map", center: [10, 50], zoom: 3, attributionControl: false,
  style: { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": "#e9eeea" } }] },
  transformRequest: (url) => (state.key ? { url, headers: headers() } : { url }),
});
map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
map.addControl(new maplibregl.ScaleControl(), "bottom-right");
window.agrilape = { map, state };  // for tests, and the curious

function headers(more = {}) {
  return state.key ? { ...more, Authorization: `Bearer ${state.key}` } : more;
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch (error) {
    throw new Error("The service does not answer. Is it still running?");
  }
  if (response.status === 401) byId("key-form").hidden = false;
  if (!response.ok) {
    const said = await response.json().catch(() => null);
    const error = said && said.error;
    throw new Error(error ? [error.message, error.remedy].filter(Boolean).join("\n→ ") : `Status ${response.status}`);
  }
  return response;
}

const json = async (path, options) => (await call(path, options)).json();

function say(text) {
  byId("status").textContent = text;
}

function fail(error) {
  byId("error").textContent = error.message;
  byId("error").hidden = false;
  byId("progress").hidden = true;
  byId("send").disabled = false;
}

function guarded(work) {
  return async (...given) => {
    byId("error").hidden = true;
    try {
      await work(...given);
    } catch (error) {
      fail(error);
    }
  };
}

// -- images ------------------------------------------------------------------

async function start() {
  byId("model").textContent = (await json("/healthz")).model;
  for (const name of await json("/v1/images")) addImage(name);
  for (const text of await json("/v1/questions")) {
    byId("known").append(new Option(text));
  }
}

function addImage(name) {
  byId("image").append(new Option(name, name));
}

async function openImage(info) {
  state.info = info;
  byId("view").hidden = false;
  byId("composite").replaceChildren(...info.composites.map((one) => new Option(one.replace("_", " "), one)));
  const dates = byId("date");
  dates.max = info.dates.length - 1;
  dates.value = dates.max;
  byId("dates").hidden = info.dates.length < 2;
  setPlace(null);
  show(nothing());
  byId("found").hidden = true;
  showImage();
  map.fitBounds(info.bounds, { padding: 30, animate: false });
  const size = info.gsd_m < 1 ? info.gsd_m.toFixed(2) : info.gsd_m.toFixed(1);
  say(`${info.name}: ${info.width} × ${info.height} pixels of ${size} m. Type a question, or click a place.`);
}

function showImage() {
  const frame = Number(byId("date").value);
  byId("date-shown").textContent = state.info.dates[frame] || "no date";
  const asked = new URLSearchParams({ name: state.info.name, composite: byId("composite").value, frame });
  if (map.getLayer("image")) map.removeLayer("image");
  if (map.getSource("image")) map.removeSource("image");
  map.addSource("image", {
    type: "raster", tileSize: 256, bounds: state.info.bounds, maxzoom: 22,
    tiles: [`${location.origin}/v1/images/tiles/{z}/{x}/{y}.png?${asked}`],
  });
  const paint = { "raster-fade-duration": 0, "raster-resampling": "nearest" };
  map.addLayer({ id: "image", type: "raster", source: "image", paint }, map.getLayer("fill") ? "fill" : undefined);
}

async function send(file) {
  say(`Sending ${file.name} …`);
  const form = new FormData();
  form.append("file", file);
  const info = await json("/v1/images", { method: "POST", body: form });
  addImage(info.name);
  byId("image").value = info.name;
  await openImage(info);
}

// -- places ------------------------------------------------------------------

function setPlace(place) {
  state.place = place;
  byId("place-row").hidden = !place;
  if (state.marker) state.marker.remove();
  state.marker = place && new maplibregl.Marker({ color: "#1e6b3c" }).setLngLat(place).addTo(map);
  if (place) byId("place").textContent = `${place[0].toFixed(5)}, ${place[1].toFixed(5)}`;
}

// -- questions ---------------------------------------------------------------

async function ask(question) {
  if (!state.info) throw new Error("There is no image yet.\n→ Open one, or send one.");
  const options = { min_confidence: 0, composite: null };
  if (question.includes("{place}")) {
    if (!state.place) throw new Error("The question is about a place.\n→ Click one on the map.");
    options.at = state.place;
  }
  const date = state.info.dates[Number(byId("date").value)];
  if (state.info.dates.length > 1 && date) options.acquired = date;
  byId("send").disabled = true;
  byId("progress").hidden = false;
  byId("progress").removeAttribute("value");
  say("Asked …");
  show(nothing());
  byId("found").hidden = false;
  const body = JSON.stringify({ image: state.info.name, question, options });
  const job = await json("/v1/jobs", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  state.job = job.id;
  await follow(job.id);
  byId("send").disabled = false;
  byId("progress").hidden = true;
}

async function follow(job) {
  const response = await call(`/v1/jobs/${job}/events`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const [kind, data] = text.slice(0, end).split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
      text = text.slice(end + 2);
      if (heard(kind, JSON.parse(data))) return;
    }
  }
  throw new Error("The service stopped before the answer was complete.\n→ The job goes on when it is started again.");
}

function heard(kind, data) {
  if (kind === "progress") {
    if (data.total) byId("progress").value = data.done / data.total;
    say(`${data.done} of ${data.total} tiles`);
  } else if (kind === "tile") {
    show({ type: "FeatureCollection", features: [...state.answers.features, ...data.features] });
  } else if (kind === "done") {
    show(data.result);
    byId("notes").replaceChildren(...data.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    say(data.summary);
    return true;
  } else if (kind === "failed") {
    show(nothing());
    say("No answer.");
    throw new Error(data.error.replace("\n  -> ", "\n→ "));
  }
  return false;
}

// -- answers -----------------------------------------------------------------

function show(answers) {
  state.answers = answers;
  if (map.getSource("answers")) {
    map.getSource("answers").setData(answers);
  } else {
    map.addSource("answers", { type: "geojson", data: answers });
    map.addLayer({ id: "fill", type: "fill", source: "answers", paint: { "fill-color": RAMP, "fill-opacity": 0.25 } });
    map.addLayer({ id: "halo", type: "line", source: "answers", paint: { "line-color": "#111", "line-width": 4 } });
    map.addLayer({ id: "line", type: "line", source: "answers", paint: { "line-color": RAMP, "line-width": 2 } });
  }
  filter();
}

const sureEnough = () => {
  const least = Number(byId("threshold").value);
  return state.answers.features.filter((one) => one.properties.confidence >= least);
};

function filter() {
  const least = Number(byId("threshold").value);
  byId("threshold-shown").textContent = `${Math.round(100 * least)} %`;
  for (const layer of ["fill", "halo", "line"]) map.setFilter(layer, [">=", ["get", "confidence"], least]);
  const sorted = sureEnough().sort((a, b) => b.properties.confidence - a.properties.confidence);
  byId("rows").replaceChildren(...sorted.slice(0, 500).map(row));
}

function row(feature) {
  const said = feature.properties;
  const line = document.createElement("tr");
  const button = Object.assign(document.createElement("button"), {
    type: "button", textContent: said.answer || [said["crop:name"], `${said.area_ha} ha`].filter(Boolean).join(", "),
  });
  button.addEventListener("click", () => map.fitBounds(bounds(feature), { padding: 80, maxZoom: 18, animate: false }));
  line.append(document.createElement("td"), document.createElement("td"));
  line.cells[0].textContent = `${Math.round(100 * said.confidence)} %`;
  line.cells[1].append(button);
  return line;
}

function bounds(feature) {
  const box = new maplibregl.LngLatBounds();
  const visit = (place) => (typeof place[0] === "number" ? box.extend(place) : place.forEach(visit));
  visit(feature.geometry.coordinates);
  return box;
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// -- wiring ------------------------------------------------------------------

map.on("load", guarded(start));
map.on("click", (event) => state.info && setPlace([event.lngLat.lng, event.lngLat.lat]));
map.on("mousemove", () => { map.getCanvas().style.cursor = state.info ? "crosshair" : ""; });
byId("image").addEventListener("change", guarded(async (event) => {
  if (!event.target.value) return;
  say("Opening …");
  await openImage(await json(`/v1/images/info?${new URLSearchParams({ name: event.target.value })}`));
}));
byId("file").addEventListener("change", guarded(async (event) => event.target.files[0] && send(event.target.files[0])));
byId("map").addEventListener("dragover", (event) => event.preventDefault());
byId("map").addEventListener("drop", guarded(async (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) await send(event.dataTransfer.files[0]);
}));
byId("date").addEventListener("input", showImage);
byId("composite").addEventListener("change", showImage);
byId("threshold").addEventListener("input", filter);
byId("no-place").addEventListener("click", () => setPlace(null));
byId("here").addEventListener("click", () => setPlace(map.getCenter().toArray()));
for (const button of byId("about").children) {
  button.addEventListener("click", guarded(async () => {
    byId("question").value = button.dataset.ask;
    await ask(button.dataset.ask);
  }));
}
byId("ask").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  await ask(byId("question").value.trim());
}));
byId("key-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  state.key = byId("key").value;
  await start();
  byId("key-form").hidden = true;
}));
byId("geojson").addEventListener("click", () => {
  const shown = { ...state.answers, features: sureEnough() };
  save(new Blob([JSON.stringify(shown, null, 1)], { type: "application/geo+json" }), "answer.geojson");
});
byId("gpkg").addEventListener("click", guarded(async () => {
  const least = byId("threshold").value;
  const response = await call(`/v1/jobs/${state.job}/answer.gpkg?min_confidence=${least}`);
  save(await response.blob(), "answer.gpkg");
}));
