//! A heap that frees nothing, which is enough for one run.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

const SIZE: usize = 64 * 1024;

struct Bump {
    heap: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

// SAFETY: `used` ensures that each byte is allocated only once.
unsafe impl Sync for Bump {}

// SAFETY: a block is inside the heap, aligned, and not part of another block.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size() + layout.align();
        let start = self.used.fetch_add(room, Ordering::Relaxed);
        if start + room > SIZE {
            return ptr::null_mut();
        }
        // SAFETY: `start + room` is inside the heap, and alignment takes fewer than `align` bytes.
        unsafe {
            let block = self.heap.get().cast::<u8>().add(start);
            block.add(block.align_offset(layout.align()))
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump {
    heap: UnsafeCell::new([0; SIZE]),
    used: AtomicUsize::new(0),
};
