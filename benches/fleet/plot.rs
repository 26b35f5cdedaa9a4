//! A line plot as SVG.

use std::fmt::Write as _;

/// A plot; both axes start at zero.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// The x axis: its label, its end, and the distance of its marks.
    pub(crate) x: (String, f64, f64),
    /// The y axis, in the same way.
    pub(crate) y: (String, f64, f64),
    pub(crate) series: Vec<Series>,
}

/// A line of the plot.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 45.0;

impl Plot {
    pub(crate) fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
             <text x=\"{LEFT}\" y=\"42\" fill=\"#57606a\">{}</text>\n",
            self.title, self.y.0,
        );
        self.marks(&mut svg);
        for (index, series) in self.series.iter().enumerate() {
            self.line(&mut svg, series);
            let x = WIDTH - RIGHT - 90.0 * (self.series.len() - index) as f64;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"42\" fill=\"{}\">&#8212; {}</text>",
                x, series.color, series.name,
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn marks(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in steps(self.y.1, self.y.2) {
            let y = self.at(0.0, value).1;
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#d0d7de\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(value),
            );
        }
        for value in steps(self.x.1, self.x.2) {
            let x = self.at(value, 0.0).0;
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#57606a\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                number(value),
            );
        }
        let middle = f64::midpoint(LEFT, right);
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#57606a\">{}</text>",
            HEIGHT - 8.0,
            self.x.0,
        );
    }

    /// Draws one line. Values beyond the end of the y axis are clamped.
    fn line(&self, svg: &mut String, series: &Series) {
        let points: Vec<String> = series
            .points
            .iter()
            .map(|&(x, y)| self.at(x, y.min(self.y.1)))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
            series.color,
            points.join(" "),
        );
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            LEFT + (WIDTH - LEFT - RIGHT) * x / self.x.1,
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / self.y.1,
        )
    }
}

fn steps(end: f64, step: f64) -> impl Iterator<Item = f64> {
    (0..).map(move |i| f64::from(i) * step).take_while(move |value| *value <= end + step / 100.0)
}

fn number(value: f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}
