//! Draws a bar chart as SVG, in the light or dark colors of the system.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Parser;
use tagu::elem::Elem;

/// Draw a bar chart of the lines "LABEL<TAB>NUMBER" in standard input
#[derive(Parser)]
struct Options {
    /// Set the title of the chart
    title: String,
    /// Set the unit of the numbers
    unit: String,
    /// Write this file
    output: PathBuf,
}

const COLORS: &str = "
.poloto_background{fill:none;}
.poloto_text{fill:#1f2328;}
.poloto_imgs.poloto_ticks{stroke:#1f2328;stroke-width:1;}
.poloto0.poloto_fill{fill:#4078c0;}
.poloto_name{font-size:20px;}
.poloto_text.poloto_ticks.poloto_y{font-size:13px;}
@media (prefers-color-scheme: dark){
.poloto_text{fill:#e6edf3;}
.poloto_imgs.poloto_ticks{stroke:#e6edf3;}
.poloto0.poloto_fill{fill:#79b8ff;}
}
";

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let mut bars = Vec::new();
    for line in io::stdin().lines() {
        let line = line?;
        let (label, number) = line.split_once('\t').ok_or("expected LABEL<TAB>NUMBER")?;
        let number: f64 = number.parse()?;
        bars.push((number, format!("{label} {}", shown(number))));
    }
    bars.reverse(); // The chart begins at the bottom.

    let words: Vec<&str> = bars.iter().rev().map(|(_, label)| &**label).collect();
    let description = format!("{}, in {}: {}", options.title, options.unit, words.join(", "));
    let colors = tagu::build::elem("style").append(tagu::build::raw(COLORS));
    let svg = poloto::build::bar::gen_simple("", bars.clone(), [0.0])
        .label((&*options.title, &*options.unit, ""))
        .append_to(
            poloto::header()
                .with_dim([700.0, 480.0])
                .append(poloto::render::Theme::light())
                .append(colors),
        )
        .render_string()?;
    // Screen readers get the bars as text. The view has room for long labels, but not for a legend.
    let words = format!(
        "role=\"img\">\n<title>{}</title>\n<desc>{description}</desc>",
        options.title
    );
    let svg = svg.replacen('>', &format!(" {words}"), 1);
    fs::write(
        options.output,
        svg.replacen("viewBox=\"0 0 800 500\"", "viewBox=\"-20 10 700 480\"", 1),
    )?;
    Ok(())
}

/// Formats a number with as many digits as a comparison needs.
fn shown(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}
