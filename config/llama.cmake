# What syncd needs of llama.cpp and no more, at a third of the compiler's work. llama-cpp-python's build reads this file when it is
# named by CMAKE_ARGS=-DCMAKE_PROJECT_llama_cpp_INCLUDE=<this file>, as README.md's commands do.

# The library behind llama.cpp's own programs (chat templates, arguments, HTTP): Python loads none of it. llama-cpp-python forces it
# on in the cache; a variable is read before the cache.
set(LLAMA_BUILD_COMMON OFF)

# Its warnings are not ours to mend, and would bury the build's progress.
add_compile_options(-w)

# Before 13.3, gcc drops the stores that _tile_loadconfig reads, and matrix products crash on processors with AMX.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13.3)
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-dse>)
endif()

function(syncd_trim)
    # All arithmetic is in ggml, which stays at -O3. These read files, split text and describe graphs.
    foreach(target llama mtmd)
        target_compile_options(${target} PRIVATE -O1)
    endforeach()

    # Fifty small models of vision and sound, each of which would read the same headers again.
    get_target_property(sources mtmd SOURCES)
    get_target_property(folder mtmd SOURCE_DIR)
    list(FILTER sources EXCLUDE REGEX "^models/")
    list(TRANSFORM sources PREPEND "${folder}/")
    set_source_files_properties(${sources} TARGET_DIRECTORY mtmd PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    set_target_properties(mtmd PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)

    # A wheel cannot hold symbolic links: each library's versioned names would be packed as copies of it.
    foreach(target ggml-base ggml-cpu ggml llama mtmd)
        set_property(TARGET ${target} PROPERTY VERSION)
        set_property(TARGET ${target} PROPERTY SOVERSION)
    endforeach()
endfunction()
cmake_language(DEFER CALL syncd_trim)
