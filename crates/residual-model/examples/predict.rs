//! Predicts rows of a CSV file: `cargo run -p residual-model --example predict -- MODEL.pkl < ROWS.csv`
use std::{error::Error, io, io::Write, path::Path};

use residual_model::Rows;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which model?")?;
    let model = residual_model::open(Path::new(&path))?;
    let mut lines = io::stdin().lines();
    let header = lines.next().ok_or("no header")??;
    let header: Vec<_> = header.split(',').map(str::to_owned).collect();
    let columns = model.order_columns(&header)?;
    for line in lines {
        let line = line?;
        let cells: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let row: Vec<f64> = columns.iter().map(|&column| cells[column]).collect();
        let y_pred = model.predict(&Rows::from_rows(&[row])?)?[0];
        writeln!(io::stdout(), "{y_pred}")?;
    }
    Ok(())
}
