//! The picture of a classifier's log: for each true class the rows with the right label, and on top of them the others.

use super::{
    ChartError, Color,
    axes::{Axes, LABEL_SIZE, Scale, WHITE, height, snap},
    canvas::{Anchor, BLACK, Backend, Canvas},
};
use crate::stats::ClassShape;

/// The width of a bar, as a part of the room of its class.
const BAR_WIDTH: f64 = 0.8;

/// Wrong rows are red, whatever colour was chosen for the right ones.
const WRONG: Color = Color(214, 39, 40);

/// Room above the tallest bar, for the legend.
const HEADROOM: f64 = 1.25;

/// Longer names of classes are cut off.
const NAME_LETTERS_MAX: usize = 14;

/// Draws the classes on `axes`.
pub(super) fn draw<B: Backend>(
    axes: &Axes<'_>,
    canvas: &Canvas<B>,
    classes: &ClassShape,
) -> Result<(), ChartError> {
    let bars = classes.confusion.right_and_wrong();
    let tallest = bars.iter().map(|(_, right, wrong)| right + wrong).max();
    let Some(tallest) = tallest.filter(|tallest| *tallest > 0) else {
        return axes.without_rows(canvas, "true class");
    };
    let scale = Scale::of_counts(
        axes.frame,
        (-0.5, place(bars.len()) - 0.5),
        height(tallest) * HEADROOM,
        axes.config.counts,
    );
    for (index, (_, right, wrong)) in bars.iter().enumerate() {
        bar(axes, canvas, &scale, index, (0, *right), axes.config.color)?;
        bar(axes, canvas, &scale, index, (*right, right + wrong), WRONG)?;
    }
    names(axes, canvas, &scale, &bars)?;
    let label_width = axes.y_axis(canvas, &scale)?;
    axes.labels(canvas, "true class", label_width)?;
    axes.spines(canvas)?;
    legend(axes, canvas, classes)
}

fn bar<B: Backend>(
    axes: &Axes<'_>,
    canvas: &Canvas<B>,
    scale: &Scale,
    index: usize,
    (from, to): (u64, u64),
    color: Color,
) -> Result<(), ChartError> {
    if from == to {
        return Ok(());
    }
    let bottom = snap(axes.frame.bottom);
    let level = |count: u64| match count {
        0 => bottom,
        count => snap(scale.y(height(count)).clamp(axes.frame.top, bottom)),
    };
    let left = snap(scale.x(place(index) - BAR_WIDTH / 2.0));
    let right = snap(scale.x(place(index) + BAR_WIDTH / 2.0));
    let (upper_left, lower_right) = ((left, level(to)), (right, level(from)));
    canvas.rectangle(upper_left, lower_right, color, 0.5)?;
    canvas.outline(upper_left, lower_right, canvas.points(0.8), BLACK)
}

/// As many names as fit side by side.
fn names<B: Backend>(
    axes: &Axes<'_>,
    canvas: &Canvas<B>,
    scale: &Scale,
    bars: &[(&str, u64, u64)],
) -> Result<(), ChartError> {
    let short = |name: &str| -> String { name.chars().take(NAME_LETTERS_MAX).collect() };
    let names: Vec<_> = bars.iter().map(|(name, _, _)| short(name)).collect();
    let widths = names.iter().map(|name| canvas.text_width(name, LABEL_SIZE));
    let widest = widths.fold(1.0, f64::max) + canvas.points(4.0);
    let room = scale.x(1.0) - scale.x(0.0);
    let mut free_from = f64::NEG_INFINITY;
    let bottom = axes.frame.bottom;
    for (index, name) in names.iter().enumerate() {
        let x = snap(scale.x(place(index)));
        let tick = [(x, bottom), (x, bottom + canvas.points(3.5))];
        canvas.line(&tick, canvas.points(0.8), BLACK)?;
        if room >= widest || x - widest / 2.0 >= free_from {
            let baseline = bottom + canvas.points(7.5 + 0.729 * LABEL_SIZE);
            canvas.text(name, (x, baseline), LABEL_SIZE, Anchor::Centre)?;
            free_from = x + widest / 2.0;
        }
    }
    Ok(())
}

/// What the colours mean, in the headroom.
fn legend<B: Backend>(
    axes: &Axes<'_>,
    canvas: &Canvas<B>,
    classes: &ClassShape,
) -> Result<(), ChartError> {
    let score = &classes.score;
    let entries = [
        (axes.config.color, format!("right {}", score.right)),
        (WRONG, format!("wrong {}", score.n - score.right)),
    ];
    let (inside, side) = (canvas.points(0.5 * LABEL_SIZE), canvas.points(LABEL_SIZE));
    let widths = entries
        .iter()
        .map(|(_, text)| canvas.text_width(text, LABEL_SIZE) + side + 2.0 * inside);
    let width: f64 = widths.clone().sum::<f64>() + inside;
    let (left, top) = (
        snap(axes.frame.right - inside - width),
        snap(axes.frame.top + inside),
    );
    let corner = (snap(left + width), snap(top + side + 2.0 * inside));
    canvas.rectangle((left, top), corner, WHITE, 0.8)?;
    canvas.outline((left, top), corner, 1.0, Color(204, 204, 204))?;
    let mut x = left + inside;
    for ((color, text), width) in entries.iter().zip(widths) {
        let upper_left = (snap(x), snap(top + inside));
        let lower_right = (snap(x + side), snap(top + inside + side));
        canvas.rectangle(upper_left, lower_right, *color, 0.5)?;
        canvas.outline(upper_left, lower_right, canvas.points(0.8), BLACK)?;
        let baseline = top + inside + 0.86 * side;
        canvas.text(
            text,
            (x + side + inside, baseline),
            LABEL_SIZE,
            Anchor::Left,
        )?;
        x += width;
    }
    Ok(())
}

/// A class's place on the axis.
fn place(index: usize) -> f64 {
    f64::from(u16::try_from(index).unwrap_or(u16::MAX))
}
