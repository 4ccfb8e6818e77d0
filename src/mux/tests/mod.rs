//! Tests of what several of the modules do together, and of the longer ones.

mod portions;
mod tables;
