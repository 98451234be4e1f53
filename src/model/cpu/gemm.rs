//! Matrix products of 32-bit floats on strided views, a checked wrapper around
//! the `gemm` crate. Single-threaded on purpose: callers split their work in
//! fixed pieces, so that results do not depend on the number of threads.

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
    /// Elements from one column to the next.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix whose rows start `row_stride` elements apart.
    pub fn new(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Matrix {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    pub fn transposed(self) -> Self {
        Matrix {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn last(&self) -> usize {
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
    }
}

/// `out = a b`, or `out += a b` when `add`; `out` is row-major with rows
/// `out_stride` elements apart.
///
/// # Panics
/// When shapes disagree or a view reaches beyond its slice.
pub(super) fn product(a: Matrix, b: Matrix, out: &mut [f32], out_stride: usize, add: bool) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner dimensions of a matrix product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(k > 0 && a.last() < a.data.len() && b.last() < b.data.len());
    assert!(out_stride >= n && (m - 1) * out_stride + n <= out.len());
    // SAFETY: the assertions above keep all three views inside their slices,
    // and `out` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
