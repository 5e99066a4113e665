// A button that saves a plot of this page as a PNG, as it is on screen.

class Save {
  constructor(parent) {
    this.node = document.createElement("div");
    this.node.className = "lv-player lv-save";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.addEventListener("click", () => this.save());
    this.node.append(this.button);
    parent.append(this.node);
  }

  update({ data }) {
    this.data = data;
    this.button.textContent = data.label;
  }

  save() {
    const own = document.querySelector(`[data-name="${this.data.plot}"]`);
    if (own?.lvSave) {
      own.lvSave(this.data.file);
      return;
    }
    const plot = document.querySelector(`.lv-plot[data-name="${this.data.plot}"]`);
    if (!plot?._fullLayout) return;
    const { clientWidth: width, clientHeight: height } = plot;
    const paper = getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor;
    const figure = { data: plot.data, layout: { ...plot.layout, paper_bgcolor: paper } };
    window.Plotly.downloadImage(figure, { format: "png", width, height, scale: 2, filename: this.data.file });
  }
}

export default function (component) {
  const parent = component.parentElement;
  parent.lvSave ??= new Save(parent);
  parent.lvSave.update(component);
  return () => {
    parent.lvSave?.node.remove();
    delete parent.lvSave;
  };
}
