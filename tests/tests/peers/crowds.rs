//! Many tiny studies: memory does not grow with their number, and each is published. `bocage-soak` does the same with 10,000.

use bocage_tests::crowd::{BATCH, crowd};
use bocage_tests::scale;

use super::EXE;

#[test]
fn hundreds_of_tiny_studies_are_all_published_in_bounded_memory() {
    println!("{}", crowd(EXE, 4 * BATCH * scale() as usize));
}
