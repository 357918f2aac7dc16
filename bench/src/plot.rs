//! Lines over a logarithmic axis, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (560, 400);
/// Distinguishable also without colour vision.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];
const FONT: &str = "sans-serif";

/// A figure for a size, and the range that it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) size: u32,
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// One pair of axes.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
}

/// Draw panels, two in a row. `axes` are what goes to the right and what upward.
pub(crate) fn write(path: &Path, title: &str, axes: [&str; 2], panels: &[Panel]) -> Result<()> {
    draw(path, title, axes, panels).map_err(|error| anyhow!("drawing {}: {error}", path.display()))
}

fn draw(path: &Path, title: &str, axes: [&str; 2], panels: &[Panel]) -> Result<(), Box<dyn std::error::Error>> {
    let rows = panels.len().div_ceil(2);
    let height = 40 + PANEL.1 * u32::try_from(rows)?;
    let root = SVGBackend::new(path, (2 * PANEL.0, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(title, (FONT, 22))?;
    for (area, panel) in root.split_evenly((rows, 2)).iter().zip(panels) {
        draw_panel(area, panel, axes)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    panel: &Panel,
    axes: [&str; 2],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let most = points().map(|point| point.high).fold(1.0, f64::max) * 1.1;
    let first = points().map(|point| point.size).min().unwrap_or(1);
    let last = points().map(|point| point.size).max().unwrap_or(10);
    // A little more than the points need.
    let sizes = f64::from(first) / 1.2..f64::from(last) * 1.2;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, (FONT, 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(sizes.log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc(axes[0])
        .y_desc(axes[1])
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(WHITE.mix(0.0))
        .draw()?;
    for (series, colour) in panel.series.iter().zip(COLOURS.iter().cycle()) {
        let line = series.points.iter().map(|point| (f64::from(point.size), point.middle));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(series.points.iter().map(|point| {
            let x = f64::from(point.size);
            PathElement::new([(x, point.low), (x, point.high)], colour.stroke_width(1))
        }))?;
        chart.draw_series(
            series.points.iter().map(|point| Circle::new((f64::from(point.size), point.middle), 3, colour.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}
