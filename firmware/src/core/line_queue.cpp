#include "core/line_queue.h"

#include <cstring>

namespace k1 {

void LineQueue::count_loss() {
    hal::SpinGuard guard(lock_);  // plain loads and stores: not every 32-bit core has an atomic add
    lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

// The place is claimed under the lock and filled outside of it; `ready` tells the reader when the text is whole.
bool LineQueue::push(const char* line, size_t n) {
    Place* place = nullptr;
    if (n <= kLineBytes) {
        hal::SpinGuard guard(lock_);
        if (tail_ - head_ < kDepth) place = &places_[tail_++ % kDepth];
    }
    if (place == nullptr) {
        count_loss();
        return false;
    }
    memcpy(place->text, line, n);
    place->n = static_cast<uint16_t>(n);
    place->ready.store(true, std::memory_order_release);
    return true;
}

const char* LineQueue::front(size_t* n) const {
    const Place* place = nullptr;
    {
        hal::SpinGuard guard(lock_);
        if (tail_ != head_) place = &places_[head_ % kDepth];
    }
    if (place == nullptr || !place->ready.load(std::memory_order_acquire)) return nullptr;
    *n = place->n;
    return place->text;
}

void LineQueue::pop() {
    hal::SpinGuard guard(lock_);
    places_[head_ % kDepth].ready.store(false, std::memory_order_relaxed);
    ++head_;
}

bool LineQueue::empty() const {
    hal::SpinGuard guard(lock_);
    return head_ == tail_;
}

}  // namespace k1
