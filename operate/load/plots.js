const dark = matchMedia("(prefers-color-scheme: dark)"), narrow = matchMedia("(max-width: 640px)");
function draw() {
  const text = dark.matches ? "#e6e8eb" : "#1c2128", line = dark.matches ? "#333a44" : "#dfe2e6";
  figures.forEach(({ data, layout }, index) => {
    const names = new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis/.test(key))]);
    const axes = Object.fromEntries([...names].map((key) => [key, {
      ...layout[key], gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true,
    }]));
    Plotly.react(`plot-${index + 1}`, data, {
      ...layout, ...axes, template: null, autosize: true, height: layout.height ?? (narrow.matches ? 380 : 440),
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: text, size: narrow.matches ? 11 : 13 },
      margin: layout.margin ?? { l: 48, r: 12, t: 24, b: 48 }, hovermode: "closest",
      legend: layout.legend ?? { orientation: "h", y: -0.2 },
    }, { responsive: true, displaylogo: false, displayModeBar: false });
  });
}
draw();
dark.addEventListener("change", draw);
narrow.addEventListener("change", draw);
