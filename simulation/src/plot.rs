//! A picture of what each policy let through: the attempts so far, over time.

use std::fmt::Write as _;
use std::time::Duration;

use crate::report::grouped;
use crate::run::{PARTS, Played};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
/// Where the axes cross.
const LEFT: f64 = 84.0;
const BOTTOM: f64 = 276.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 52.0;

/// Grey that can be read on white and on black.
const GREY: &str = "#7a7a7a";

/// How the policies are drawn, so that one can be seen below another, and told apart without colours.
const STYLES: [&str; 3] = [
    r##"stroke="#1a7fd4" stroke-width="3""##,
    r##"stroke="#d9730d" stroke-width="2" stroke-dasharray="9 5""##,
    r##"stroke="#a855c7" stroke-width="2" stroke-dasharray="2 4""##,
];

/// Draws it as SVG.
#[must_use]
pub fn plot(played: &Played) -> String {
    let Played { scenario, results, .. } = played;
    let title = escaped(&scenario.title);
    let sums: Vec<Vec<u64>> =
        results.iter().map(|tally| sums(tally.curve.iter().map(|[_, reached]| *reached))).collect();
    let all = results.first().map(|tally| sums_of_all(&tally.curve)).unwrap_or_default();
    let most = nice(all.last().copied().unwrap_or_default().max(1));
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" role="img">
<title>{title}: attempts that reached the server, over time</title>
"#
    );
    draw_axes(&mut svg, most, scenario.lasts);
    let area = points(&all, most);
    line(
        &mut svg,
        format_args!(
            r#"<polygon points="{LEFT:.1},{BOTTOM:.1} {area} {RIGHT:.1},{BOTTOM:.1}" fill="{GREY}" fill-opacity="0.18"/>"#
        ),
    );
    let attempts = grouped(all.last().copied().unwrap_or_default());
    draw_key(&mut svg, 0, &format!("all attempts: {attempts}"), None);
    for (nth, ((tally, sums), style)) in results.iter().zip(&sums).zip(STYLES).enumerate() {
        let points = points(sums, most);
        line(&mut svg, format_args!(r#"<polyline points="{points}" fill="none" {style}/>"#));
        draw_key(&mut svg, nth + 1, &format!("{}: {}", tally.policy, grouped(tally.reached)), Some(style));
    }
    svg += "</svg>\n";
    svg
}

fn draw_axes(svg: &mut String, most: u64, lasts: Duration) {
    for quarter in 0..=4 {
        let (number, y) = (most * quarter / 4, height(most * quarter / 4, most));
        line(
            svg,
            format_args!(r#"<path d="M{LEFT:.1} {y:.1}H{RIGHT:.1}" stroke="{GREY}" stroke-opacity="0.3"/>"#),
        );
        let (x, y) = (LEFT - 8.0, y + 4.0);
        let number = grouped(number);
        line(
            svg,
            format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end" fill="{GREY}">{number}</text>"#),
        );
    }
    let (unit, seconds) = unit(lasts);
    let units = lasts.as_secs() / seconds;
    let step = units.div_ceil(12).max(1);
    for number in (0..=units).step_by(usize::try_from(step).unwrap_or(1)) {
        let x = LEFT + (RIGHT - LEFT) * float(number * seconds) / lasts.as_secs_f64();
        let y = BOTTOM + 18.0;
        line(
            svg,
            format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" fill="{GREY}">{number}</text>"#),
        );
    }
    let (x, y) = (f64::midpoint(LEFT, RIGHT), BOTTOM + 36.0);
    line(
        svg,
        format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" fill="{GREY}">{unit}</text>"#),
    );
}

fn draw_key(svg: &mut String, place: usize, text: &str, style: Option<&str>) {
    let x = LEFT + if place.is_multiple_of(2) { 0.0 } else { 330.0 };
    let y = if place < 2 { 14.0 } else { 34.0 };
    let (end, text_x, text_y) = (x + 30.0, x + 38.0, y + 4.0);
    match style {
        Some(style) => line(svg, format_args!(r#"<path d="M{x:.1} {y:.1}H{end:.1}" {style}/>"#)),
        None => line(
            svg,
            format_args!(
                r#"<path d="M{x:.1} {y:.1}H{end:.1}" stroke="{GREY}" stroke-opacity="0.3" stroke-width="10"/>"#
            ),
        ),
    }
    let text = escaped(text);
    line(svg, format_args!(r#"<text x="{text_x:.1}" y="{text_y:.1}" fill="{GREY}">{text}</text>"#));
}

fn line(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("a string takes all");
}

/// What was let through up to the end of each part.
fn sums(parts: impl Iterator<Item = u64>) -> Vec<u64> {
    parts
        .scan(0, |sum, part| {
            *sum += part;
            Some(*sum)
        })
        .collect()
}

fn sums_of_all(curve: &[[u64; 2]]) -> Vec<u64> {
    sums(curve.iter().map(|[all, _]| *all))
}

fn points(sums: &[u64], most: u64) -> String {
    let mut points = format!("{LEFT:.1},{BOTTOM:.1}");
    for (part, sum) in (1..).zip(sums) {
        let x = LEFT + (RIGHT - LEFT) * float(part) / float(PARTS as u64);
        write!(points, " {x:.1},{:.1}", height(*sum, most)).expect("a string takes all");
    }
    points
}

fn height(number: u64, most: u64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * float(number) / float(most)
}

/// The next number that can be divided by four and looks well on an axis.
fn nice(number: u64) -> u64 {
    let decade =
        |zeros| [4, 8, 12, 20, 32].map(|step: u64| step.saturating_mul(10_u64.saturating_pow(zeros)));
    (0..20).flat_map(decade).find(|step| *step >= number).unwrap_or(number)
}

fn unit(lasts: Duration) -> (&'static str, u64) {
    let hours = lasts.as_secs() / 3_600;
    match hours {
        0..=2 => ("minutes", 60),
        3..=48 => ("hours", 3_600),
        _ => ("days", 86_400),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture is not exact")]
fn float(number: u64) -> f64 {
    number as f64
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_is_not_below_the_highest() {
        assert_eq!([1, 4, 33, 40, 3_000_000].map(nice), [4, 4, 40, 40, 3_200_000]);
        assert_eq!(nice(u64::MAX), u64::MAX);
    }
}
