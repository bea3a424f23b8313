// Nothing draws in a build with SAM3TRT_OVERLAY=OFF (overlay_writer.cpp says so).
