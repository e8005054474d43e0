for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
        sums[lane] += sums[lane + half];
    }
}
